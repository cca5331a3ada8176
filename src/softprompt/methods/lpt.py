r"""LPT, late prompt tuning: one prompt at one middle layer, made by a small net from the states below it.

Liu et al., "Late Prompt Tuning: A Late Prompt Could Be Better Than Many Prompts", Findings of EMNLP 2022,
<https://arxiv.org/abs/2210.11292>. With H the text's states that enter layer l:

    APPG, MPPG   P = W_up relu(Pool_k(W_down H + b_down)) + b_up      average or max pooling, each row's own tokens
    NPG          P = W_up relu(W_down h + b_down) + b_up, as (k, d)   h of [CLS], on causal models of the last token
    none         P in R^{k x d} trained

Site `hidden`: the slots become P before layer l and stay in the sequence as its layers make them; below l nothing is
trained, and no gradient is computed. Trained and stored: 2 d m + m + d (APPG, MPPG), d m + m + k d (m + 1) (NPG), k d.

From the official code: the generators, m = 128, k = 5, NPG in both released scripts, l at half of the layers (12 of
24, 18 of 36), weights as torch draws linear layers. Decided here: the slots are part of the sequence from the first
layer on (the code lengthens it at l), where they enter as zeros and carry nothing of the prompt; that keeps one layout
for every cache, batch and kind of model, but the text does attend to them below l. Generators read the conditioning
text alone, so on causal models the prompt is fixed when the text was read. An encoder-decoder's encoder is prompted,
and NPG reads its last token. The preset `lpt-paper` trains as the scripts do.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from softprompt.errors import SoftPromptError
from softprompt.methods.base import BuildContext, Method, Needs, Recipe
from softprompt.methods.parts import tables
from softprompt.methods.parts.generators import Generator, Pool, sentence_token
from softprompt.methods.registry import register
from softprompt.sites.producer import Producer, View


@register
class LPT(Method):
    """One generated prompt at one middle layer (Liu et al., 2022)."""

    name: ClassVar[str] = "lpt"
    title: ClassVar[str] = "Late Prompt Tuning: A Late Prompt Could Be Better Than Many Prompts"
    url: ClassVar[str] = "https://arxiv.org/abs/2210.11292"
    site: ClassVar[str] = "hidden"
    evidence: ClassVar[str] = "official code; below the prompted layer the sequence differs, see the method's page"
    needs: ClassVar[Needs] = {
        "init_std": ("generator", ("none",)),
        "bottleneck": ("generator", ("npg", "appg", "mppg")),
        "dropout": ("generator", ("npg", "appg", "mppg")),
    }
    recipes: ClassVar[dict[str, Recipe]] = {
        "gpt2": Recipe(
            5e-4,
            "the official script on GPT-2 large, with 16 rows a step (ours) for 8 times 4",
            warmup_ratio=0.06,
            weight_decay=0.1,
            epochs=10,
            measured_on=("gpt2",),
        ),
        "encoder": Recipe(
            1e-3,
            "the official script on RoBERTa-large, with 60 epochs (ours) for 1,000 steps",
            warmup_ratio=0.06,
            weight_decay=0.1,
            epochs=60,
            batch_size=32,
            measured_on=("roberta",),
        ),
        "default": Recipe(
            1e-3, "ours, with the official script's rate on RoBERTa-large", warmup_ratio=0.06, measured_on=()
        ),
    }

    num_virtual_tokens: int = Field(5, ge=1, description="k, the vectors of the prompt")
    generator: Literal["npg", "appg", "mppg", "none"] = Field(
        "npg", description="what makes it: one token's state, average or max pooling, or none, a trained table"
    )
    layer: int | None = Field(
        None, ge=0, description="l, before which it stands, from 0; by default half of the layers"
    )
    bottleneck: int = Field(128, ge=1, description="m, the width of the generator")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout on the generated vectors")
    init_std: float = Field(0.02, ge=0, description="standard deviation of generator='none'")

    def build(self, context: BuildContext) -> Producer:
        """Make the generator, or the table `(k, H)`, fp32.

        Raises:
            SoftPromptError: the backbone has no such layer.
        """
        layers = context.anatomy.num_layers
        layer = layers // 2 if self.layer is None else self.layer
        if layer >= layers:
            raise SoftPromptError(f"the backbone has layers 0 to {layers - 1}, but layer={layer} was asked for")
        count, dropout = self.num_virtual_tokens, self.dropout
        if self.generator == "none":
            rows = tables.normal((count, context.anatomy.hidden_size), self.init_std, context)
            return LatePrompt(layer, count, rows, None)
        token = sentence_token(context.anatomy.kind)
        pools: dict[str, Pool] = {"npg": token, "appg": "average", "mppg": "max"}
        made = Generator(pools[self.generator], count, self.bottleneck, context, dropout=dropout)
        return LatePrompt(layer, count, None, made)


class LatePrompt(Producer):
    """A prompt before one layer: of a generator, or a table `(k, H)`."""

    shift = False

    def __init__(self, layer: int, count: int, rows: Tensor | None, generator: Generator | None) -> None:
        super().__init__()
        self.count = count
        self.hidden_layers, self.first_layer = frozenset({layer}), layer
        self.generator = generator
        self.table = None if rows is None else nn.Parameter(rows)
        self.static = generator is None

    def rewrite(self, layer: int, view: View) -> Tensor:
        """P, shape `(U, k, H)`, or `(k, H)` of a table."""
        if self.generator is None:
            assert self.table is not None
            return self.table
        made: Tensor = self.generator(view)
        return made
