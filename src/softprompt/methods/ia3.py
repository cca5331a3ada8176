r"""IA3: keys, values and feed-forward activations are rescaled by trained vectors.

Liu et al., "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning", NeurIPS 2022,
<https://arxiv.org/abs/2205.05638>.

    softmax(Q (l_k * K^T) / sqrt(d)) (l_v * V)   and   W_2 (l_ff * f(W_1 x))

The layers are PEFT's own (`peft.tuners.ia3`). Weight side, so it attaches alone. Trained and stored on N layers:
N (d_k + d_v + d_ff), and in an encoder-decoder the decoder's vectors too (its cross-attention has its own). All start
at one, so training starts from the backbone.

The modules are those of the paper. PEFT's own table of default names differs from it for some families (queries in the
place of keys on Gemma and Qwen, the attention's output on BERT), so it is not used; `target_modules` and
`feedforward_modules` name what was trained with it. Decided here: where one matrix makes queries, keys and values
(GPT-2) all three are rescaled, as PEFT does.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import nn

from softprompt.backbones.anatomy import Anatomy
from softprompt.backbones.projections import is_feed_forward_output, is_key, is_named, is_value, linears
from softprompt.methods.base import BuildContext, Method, Needs, Recipe
from softprompt.methods.parts.peft_layers import PeftLayers, peft
from softprompt.methods.parts.weights import key
from softprompt.methods.registry import register
from softprompt.sites.producer import Producer


@register
class IA3(Method):
    """Trained vectors that rescale keys, values and feed-forward activations (Liu et al., 2022)."""

    name: ClassVar[str] = "ia3"
    title: ClassVar[str] = "Few-Shot Parameter-Efficient Fine-Tuning is Better and Cheaper than In-Context Learning"
    url: ClassVar[str] = "https://arxiv.org/abs/2205.05638"
    site: ClassVar[str] = "weights"
    evidence: ClassVar[str] = "the equations from memory; layers from PEFT"
    needs: ClassVar[Needs] = {"feedforward_modules": ("target_modules", True)}
    recipes: ClassVar[dict[str, Recipe]] = {
        "encoder-decoder": Recipe(
            3e-3, "our choice: the paper's T-Few rate, from memory", optimizer="adafactor", measured_on=("t5",)
        ),
        "default": Recipe(3e-3, "our choice: the paper's rate on T0, from memory", measured_on=()),
    }

    # Not written where they are left out, as ever.
    target_modules: tuple[str, ...] | None = Field(
        None,
        description="names of the rescaled modules, as k_proj; by default the paper's",
        exclude_if=lambda names: names is None,
    )
    feedforward_modules: tuple[str, ...] = Field(
        (), description="of target_modules those whose inputs are rescaled", exclude_if=lambda names: not names
    )

    def build(self, context: BuildContext) -> Producer:
        """Make the vectors, ones, fp32."""
        places = self._places(context.anatomy)
        by_default = self.target_modules is None
        fed = [
            key(path)
            for path in places
            if (is_feed_forward_output(path) if by_default else is_named(path, self.feedforward_modules))
        ]
        configuration = peft().IA3Config(target_modules=[*map(key, places)], feedforward_modules=fed)
        made = PeftLayers(configuration, places)
        with torch.no_grad():
            for vector in made.parameters():
                vector.fill_(1.0)
        return made

    def refusal(self, anatomy: Anatomy) -> str | None:
        """A layer whose projections bear unknown names has no place for the vectors."""
        found = self._places(anatomy)
        if self.target_modules is not None:
            return None if found else "no such modules in its layers: name others in target_modules"
        if any(map(is_value, found)) and any(map(is_feed_forward_output, found)):
            return None
        return "its layers have no single key, value and feed-forward projections; use method lora"

    def _places(self, anatomy: Anatomy) -> dict[str, nn.Module]:
        names = self.target_modules
        if names is not None:
            return linears(anatomy, lambda path: is_named(path, names))
        return linears(anatomy, lambda path: is_key(path) or is_value(path) or is_feed_forward_output(path))
