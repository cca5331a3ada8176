r"""Deep prompts in hidden form: P vectors a layer, the control that CaPT's paper compares with.

The "Deep Prompt-Tuning" of Liu et al., "All You Need is One: Capsule Prompt Tuning with a Single Vector", NeurIPS 2025,
<https://arxiv.org/abs/2510.16670>, preliminaries; the same form as VPT-deep.

    H^1 = L_1(P^1, E),   H^i = L_i(P^i, H^{i-1}),   P^i in R^{k x d}

Site `hidden`: before each layer the k slots are overwritten by that layer's rows; their outputs are thrown away. It is
not P-Tuning v2 (site `attention`): these vectors pass the layer's norm, W_K and W_V. Trained and stored: N * k * d
scalars.

The paper says nothing of the first values. Ours are the states that the frozen model itself makes of words before each
layer (`init="words"`). Small random vectors are no small change: every layer's norm blows them up to the length of a
state, and on Gemma 3 270M, whose states at the first token grow from 26 to 25,000, no rate from 0.003 to 0.3 learned
more than the training rows from there.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from softprompt.methods.base import BuildContext, Needs, Recipe
from softprompt.methods.parts import tables
from softprompt.methods.parts.layers import LayerPrompt, OverLayers
from softprompt.methods.registry import register
from softprompt.sites.producer import Producer, View


@register
class DeepPrompt(OverLayers):
    """Trained vectors before every layer (the control of CaPT's paper)."""

    name: ClassVar[str] = "deep_prompt"
    title: ClassVar[str] = "All You Need is One: Capsule Prompt Tuning with a Single Vector (its Deep Prompt-Tuning)"
    url: ClassVar[str] = "https://arxiv.org/abs/2510.16670"
    site: ClassVar[str] = "hidden"
    evidence: ClassVar[str] = "full text"
    needs: ClassVar[Needs] = {**OverLayers.needs, "init_std": ("init", ("normal",))}
    recipes: ClassVar[dict[str, Recipe]] = {
        "encoder-decoder": Recipe(
            1.0,
            "CaPT's paper, section 4.1: searched among 5, 1, 0.1",
            optimizer="adafactor",
            warmup_ratio=0.06,
            measured_on=("t5",),
        ),
        "gemma3_text": Recipe(
            1.0, "measured on Gemma 3 270M: 0.03 to 3 on validation rows of SST-2", measured_on=("gemma3_text",)
        ),
        "encoder": Recipe(
            0.3, "measured on MiniLM: 0.003 to 1, 16 rows a class (docs/defaults.md)", measured_on=("bert",)
        ),
        "default": Recipe(1.0, "our choice: the value measured on Gemma 3 270M", measured_on=()),
    }

    num_virtual_tokens: int = Field(1, ge=1, description="k, the vectors a layer")
    init: Literal["words", "normal"] = Field(
        "words", description="first values: the frozen model's states of words, or draws from N(0, init_std^2)"
    )
    init_std: float = Field(0.02, ge=0, description="standard deviation of init='normal'")

    def build(self, context: BuildContext) -> Producer:
        """Make the table, shape `(layers, k, H)`, fp32."""
        return LayerTable(self._rows(context), self.selection.of(context.anatomy.num_layers), context)

    def _rows(self, context: BuildContext) -> Tensor:
        layers = self.selection.of(context.anatomy.num_layers)
        if self.init == "words" and not context.blank:
            return tables.word_states(self.num_virtual_tokens, context)[list(layers)]
        shape = (len(layers), self.num_virtual_tokens, context.anatomy.hidden_size)
        return tables.normal(shape, self.init_std, context)


class LayerTable(LayerPrompt):
    """Rows for each prompted layer, shape `(layers, k, H)`."""

    static = True

    def __init__(self, rows: Tensor, layers: tuple[int, ...], context: BuildContext) -> None:
        super().__init__(layers, context)
        self.table = nn.Parameter(rows.clone())
        self.count = rows.shape[1]

    def rewrite(self, layer: int, view: View) -> Tensor:
        """P^i, shape `(k, H)`."""
        return self.table[self.layers.index(layer)]
