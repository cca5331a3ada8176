r"""SPT, selective prompt tuning: generated prompts at the layers that training chooses.

Zhu and Tan, "SPT: Learning to Selectively Insert Prompts for Better Prompt Tuning", EMNLP 2023,
<https://arxiv.org/abs/2310.20127>. With P~_l the slots as the layer below made them, H_l the text's states that enter
layer l, and a_l = sigmoid(g_l) a gate:

    P_l = (1 - tau a_l) P~_l + tau a_l G_l(H_l)        replace (tau = 1) or average (tau = 1/2)
    P_l = P~_l + a_l G_l(H_l)                          add
    G_l(H) = W_up relu(Pool_k(W_down H + b_down)) + b_up,   G_0 a free table in R^{k x d}

Site `hidden`. SPT-DARTS looks for the gates, min_g L_val(w*(g), g) with w*(g) = argmin_w L_train(w, g), first order:
one half of the rows moves the generators, the other the gates (`softprompt.training.search`). Then the K likeliest stay
with a_l = 1, are drawn anew and trained on everything. Stored: K (2 d m + m + d) scalars, or k d at the embedding.

Verified (abstract, and the first author's later papers): gates at every layer, generators a layer, the bi-level search
with a consistency term, a forward value that is decoupled from the gradient, 8 layers and m = 256 in ALoRA's
comparison, two plain maps a generator. The paper's body and code could not be read; decided here, each an option: the
pooling (LPT's, whose code is known), the gate's form, the recursion, k = 10, the free table before layer 0, the
consistency term and its weight. The slots are part of the sequence from the first layer on: below the lowest chosen
layer they hold the mean word embedding (P~_0), and at a layer that is left out they go on as the layer below made them.
Generators read the conditioning text alone, so on causal models the prompt is fixed when the text was read.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from softprompt.methods.base import Recipe, Setting
from softprompt.methods.parts import tables
from softprompt.methods.parts.generators import Generator, Pool, sentence_token
from softprompt.methods.parts.layers import LayerPrompt, OverLayers
from softprompt.methods.registry import register
from softprompt.sites.producer import Producer, View


@register
class SPT(OverLayers):
    """Generated prompts at learned layers (Zhu and Tan, 2023)."""

    name: ClassVar[str] = "spt"
    title: ClassVar[str] = "SPT: Learning to Selectively Insert Prompts for Better Prompt Tuning"
    url: ClassVar[str] = "https://arxiv.org/abs/2310.20127"
    site: ClassVar[str] = "hidden"
    evidence: ClassVar[str] = (
        "abstract and the first author's later papers; the body and the code could not be read: SPT-style, what is "
        "decided here is listed on the method's page"
    )
    recipes: ClassVar[dict[str, Recipe]] = {
        "encoder": Recipe(1e-3, "LPT's official script on RoBERTa-large", warmup_ratio=0.06, epochs=60),
        "gpt2": Recipe(5e-4, "LPT's official script on GPT-2 large", warmup_ratio=0.06),
        "default": Recipe(1e-3, "our choice: LPT's rate on RoBERTa-large", warmup_ratio=0.06),
    }

    select: str = Field("learned", description="the layers, as in every method over layers; the paper's is learned")
    num_virtual_tokens: int = Field(10, ge=1, description="k, the vectors of the prompt")
    pool: Literal["average", "max", "token"] = Field(
        "average", description="of the text: adaptive average or max, or one token (first on encoders, else last)"
    )
    bottleneck: int = Field(256, ge=1, description="m, the width of a generator")
    embedding: Literal["free", "generated"] = Field("free", description="before layer 0: a table or a generator")
    combine: Literal["replace", "add"] = Field("replace", description="with the slots that come from below")
    tau: float = Field(1.0, gt=0, le=1, description="combine=replace: share of the new prompt")
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout on the generated vectors")
    init_std: float = Field(0.02, ge=0, description="standard deviation of the free table")

    def build(self, setting: Setting) -> Producer:
        """Make the generators of the chosen layers, fp32."""
        return Generated(self, self.selection.of(setting.anatomy.num_layers), setting)


class Generated(LayerPrompt):
    """A prompt `(k, H)` before each chosen layer: of a generator, or before layer 0 a table."""

    def __init__(self, options: SPT, layers: tuple[int, ...], setting: Setting) -> None:
        super().__init__(layers, setting)
        self.count = options.num_virtual_tokens
        self.share = options.tau if options.combine == "replace" else None
        free = options.embedding == "free" and 0 in layers
        shape = (self.count, setting.anatomy.hidden_size)
        self.table = nn.Parameter(tables.normal(shape, options.init_std, setting)) if free else None
        pools: dict[str, Pool] = {"average": "average", "max": "max", "token": sentence_token(setting.anatomy.kind)}
        self.generators = nn.ModuleDict(
            {
                str(layer): Generator(
                    pools[options.pool], self.count, options.bottleneck, setting, dropout=options.dropout
                )
                for layer in layers
                if layer or not free
            }
        )

    def rewrite(self, layer: int, view: View) -> Tensor:
        """P_l with an open gate, shape `(U, k, H)`."""
        made: Tensor = self.generators[str(layer)](view) if str(layer) in self.generators else self._free()
        if self.share is None:
            return view.at_slots + made
        return made if self.share == 1 else (1 - self.share) * view.at_slots + self.share * made

    def _free(self) -> Tensor:
        assert self.table is not None
        return self.table
