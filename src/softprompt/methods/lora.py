r"""LoRA: a low-rank update of the frozen projections.

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022, <https://arxiv.org/abs/2106.09685>.

    y = W x + (alpha / r) B A dropout(x),   A in R^{r x in}, B in R^{out x r}

The layers are PEFT's own (`peft.tuners.lora`). Weight side, so it attaches alone. Adapted are the query and value
projections of every attention (an encoder-decoder's both stacks), or the modules that `target_modules` names. Trained
and stored: the sum of r (in + out) over the adapted modules.

B starts at zero, so training starts from the backbone; A is drawn from U(-in^-1/2, in^-1/2), as PEFT and the official
code draw it. Decided here: r = 8 and alpha = 16 (PEFT's r, the usual alpha of twice that); where one matrix makes
queries, keys and values (GPT-2) it is adapted as a whole, as PEFT does.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import nn

from softprompt.backbones.anatomy import Anatomy
from softprompt.backbones.projections import is_named, is_query, is_value, linears
from softprompt.methods.base import BuildContext, Method, Recipe
from softprompt.methods.parts import tables
from softprompt.methods.parts.peft_layers import PeftLayers, peft
from softprompt.methods.parts.weights import key
from softprompt.methods.registry import register
from softprompt.sites.producer import Producer


@register
class LoRA(Method):
    """A low-rank update of the projections (Hu et al., 2022)."""

    name: ClassVar[str] = "lora"
    title: ClassVar[str] = "LoRA: Low-Rank Adaptation of Large Language Models"
    url: ClassVar[str] = "https://arxiv.org/abs/2106.09685"
    site: ClassVar[str] = "weights"
    evidence: ClassVar[str] = "official code; layers from PEFT"
    recipes: ClassVar[dict[str, Recipe]] = {
        "encoder": Recipe(
            5e-4, "our choice within the usual 1e-4 to 1e-3", warmup_ratio=0.06, weight_decay=0.01, measured_on=()
        ),
        "default": Recipe(5e-4, "our choice within the usual 1e-4 to 1e-3", warmup_ratio=0.06, measured_on=()),
    }

    rank: int = Field(8, ge=1, description="r")
    alpha: float = Field(16.0, gt=0, description="the update is scaled by alpha / r")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout on what enters A")
    target_modules: tuple[str, ...] | None = Field(
        None, description="names of the adapted modules, as o_proj; by default the query and value projections"
    )

    def build(self, context: BuildContext) -> Producer:
        """Make A and B of each adapted module, fp32."""
        places = self._places(context.anatomy)
        configuration = peft().LoraConfig(
            r=self.rank, lora_alpha=self.alpha, lora_dropout=self.dropout, target_modules=[*map(key, places)]
        )
        made = PeftLayers(configuration, places)
        with torch.no_grad():
            for layer in made.layers.values():
                down = _first(layer.lora_A)
                down.copy_(tables.uniform(down.shape, down.shape[1] ** -0.5, context))
                _first(layer.lora_B).zero_()
        return made

    def refusal(self, anatomy: Anatomy) -> str | None:
        """The names must name linear modules of its layers."""
        if self._places(anatomy):
            return None
        leaves = sorted({path.rsplit(".", 1)[-1] for path in linears(anatomy, lambda _: True)})
        return f"no such modules in its layers; set target_modules to some of {', '.join(leaves)}"

    def _places(self, anatomy: Anatomy) -> dict[str, nn.Module]:
        if self.target_modules is None:
            return linears(anatomy, lambda path: is_query(path) or is_value(path))
        names = self.target_modules
        return linears(anatomy, lambda path: is_named(path, names))


def _first(layers: object) -> nn.Parameter:
    assert isinstance(layers, nn.Module)
    return next(layers.parameters())
