r"""IDPG, instance-dependent prompt generation: a small net makes the prompt of the sentence's own vector.

Wu et al., "IDPG: An Instance-Dependent Prompt Generation Method", NAACL 2022, <https://arxiv.org/abs/2204.04497>.

    P(x) = T + W_up gelu(W_down h(x) + b)   as (k, e),   T in R^{k x e} the task's own prompt

h(x) is the sentence vector that the frozen backbone gives the text alone, in a first pass without the prompt. M-IDPG
(`depth="all"`) goes on: before each further layer i the slots get P_i = T_i + W_up gelu(W_down h_i + b) added, with
h_i the sentence state that enters layer i; the maps are shared, T_i is the layer's own. The maps are dense (`dnn`) or
sums of n Kronecker products (`phm`), W = sum_i A_i (x) B_i.

Sites `stream` and `hidden`. Trained and stored, with d the states' width: d m + m + m k e + k e (dnn), or 2 n^3 +
d m / n + m + m k e / n + k e (phm), and (N - 1) k d more with depth="all".

From the official code: k = 5, dropout 0.1 on h and on the bottleneck, dense maps N(0, 0.02), PHM maps N(0, 0.05) with
n = m = 16, T from U(-0.5, 0.5), [CLS] as the sentence vector, the prompt after [CLS], M-IDPG's maps shared with a bias
a layer that is T_i. Decided here: m = 256 for dense maps (the released scripts also run 16); b starts at 0; the first
pass reads the conditioning text without token types; other backbones than encoders take the last token's state, and the
prompt in front (`sentence`, `placement`).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from softprompt.backbones.anatomy import Anatomy
from softprompt.methods.base import BuildContext, Method, Needs, Recipe
from softprompt.methods.parts import tables
from softprompt.methods.parts.first_pass import FirstPass
from softprompt.methods.parts.generators import PHM, Token, sentence, sentence_token
from softprompt.methods.registry import register
from softprompt.sites.layout import Placement
from softprompt.sites.producer import Producer, View


@register
class IDPG(Method):
    """A prompt made of the sentence's own vector (Wu et al., 2022)."""

    name: ClassVar[str] = "idpg"
    title: ClassVar[str] = "IDPG: An Instance-Dependent Prompt Generation Method"
    url: ClassVar[str] = "https://arxiv.org/abs/2204.04497"
    site: ClassVar[str] = "stream"
    evidence: ClassVar[str] = "official code"
    needs: ClassVar[Needs] = {"phm_dim": ("network", ("phm",))}
    recipes: ClassVar[dict[str, Recipe]] = {
        "encoder": Recipe(
            5e-4,
            "the official scripts on RoBERTa-large: 5e-3 to 1e-4",
            schedule="constant",
            weight_decay=0.1,
            epochs=50,
            measured_on=("roberta",),
        ),
        "default": Recipe(
            5e-4, "our choice: the official scripts' rate on RoBERTa-large", weight_decay=0.1, measured_on=()
        ),
    }

    num_virtual_tokens: int = Field(5, ge=1, description="k, the virtual tokens")
    depth: Literal["input", "all"] = Field("input", description="input, or all layers (M-IDPG)")
    network: Literal["dnn", "phm"] = Field("dnn", description="dense maps, or sums of Kronecker products")
    bottleneck: int | None = Field(None, ge=1, description="m; by default 256 with dnn and 16 with phm")
    phm_dim: int = Field(16, ge=1, description="n, the Kronecker products a map of network='phm'")
    sentence: Token | None = Field(
        None, description="the sentence vector: first, last or mean; by default first on encoders, else last"
    )
    placement: Placement | None = Field(
        None, description="front, after_bos or end; by default after_bos on encoders, else front"
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout on the sentence vector and in the bottleneck")
    init_bound: float = Field(0.5, ge=0, description="the task's own prompt is drawn from [-bound, bound]")

    def build(self, context: BuildContext) -> Producer:
        """Make the maps and the task's prompts, fp32."""
        return Instances(self, context)

    def refusal(self, anatomy: Anatomy) -> str | None:
        """Shared maps cannot serve two widths."""
        if self.depth == "all" and anatomy.embedding_size != anatomy.hidden_size:
            return "its embeddings are narrower than its states, so layers cannot share the maps; use depth=input"
        return super().refusal(anatomy)


class Instances(Producer):
    """The generator, shared by the layers, and the task's prompt of each prompted layer."""

    def __init__(self, options: IDPG, context: BuildContext) -> None:
        super().__init__()
        part, count = context.anatomy, options.num_virtual_tokens
        encoder = part.kind == "encoder"
        self.count = count
        self.placement = options.placement or ("after_bos" if encoder else "front")
        self.token: Token = options.sentence or sentence_token(part.kind)
        layers = range(part.num_layers) if options.depth == "all" else range(1)
        self.hidden_layers = frozenset(layers[1:])
        self.tasks = nn.Parameter(
            tables.uniform((len(layers), count, part.embedding_size), options.init_bound, context)
        )
        self.maps = Maps(options, part.hidden_size, count * part.embedding_size, context)
        self.first_pass = FirstPass(part)

    def embed(self, view: View) -> Tensor:
        """P of the sentence vector that the backbone gives the text alone, `(U, k, E)`."""
        states, text = self.first_pass(view)
        return self._prompt(0, sentence(states, text, self.token))

    def rewrite(self, layer: int, view: View) -> Tensor:
        """The slots as the layer below made them, with P of the layer's sentence state added, `(U, k, H)`."""
        made = self._prompt(layer, sentence(view.states.to(torch.float32), view.text, self.token))
        return view.at_slots + made

    def _prompt(self, layer: int, vector: Tensor) -> Tensor:
        """P `(U, k, E)` of sentence vectors `(U, H)`."""
        made: Tensor = self.maps(vector)
        return self.tasks[layer] + made.view(-1, *self.tasks.shape[1:])


class Maps(nn.Module):
    """`W_up gelu(W_down h + b)`, with dropout before each map."""

    def __init__(self, options: IDPG, inputs: int, outputs: int, context: BuildContext) -> None:
        super().__init__()
        width = options.bottleneck or (16 if options.network == "phm" else 256)
        self.dropout = nn.Dropout(options.dropout)
        self.down, self.up = (self._map(options, *sizes, context) for sizes in ((inputs, width), (width, outputs)))
        self.bias = nn.Parameter(torch.zeros(width))

    @staticmethod
    def _map(options: IDPG, inputs: int, outputs: int, context: BuildContext) -> nn.Module:
        if options.network == "phm":
            return PHM(inputs, outputs, options.phm_dim, 0.05, context)
        dense = nn.Linear(inputs, outputs, bias=False)
        with torch.no_grad():
            dense.weight.copy_(tables.normal(dense.weight.shape, 0.02, context))
        return dense

    def forward(self, vector: Tensor) -> Tensor:
        """From `(U, inputs)` to `(U, outputs)`."""
        inner = nn.functional.gelu(self.down(self.dropout(vector)) + self.bias)
        made: Tensor = self.up(self.dropout(inner))
        return made
