r"""LoPA: a prompt of the task, gated for each instance by a matrix of low rank.

Jain et al., "Prompt Tuning Strikes Back: Customizing Foundation Models with Low-Rank Prompt Adaptation", NeurIPS 2024,
<https://arxiv.org/abs/2405.15282>.

    P(x) = Z_S * sigmoid(Z_I),   Z_I = U V^T,   Z_S in R^{k x e}
    U = W'_u tanh(W_u h(x) + b_u) + b'_u   as (k, r),   V = W'_v tanh(W_v h(x) + b_v) + b'_v   as (e, r)

with h(x) the instance's vector from a frozen encoder. Site `stream`, as Prompt Tuning with the rows P(x). Trained and
stored, with d the width of h and m that of the two heads: k e + 2 (d m + m) + (m + 1) k r + (m + 1) e r.

From the official code: the two heads, each with dropout 0.1 on h, their weights from N(0, 0.02), r in {1, 2, 4}, k in
{5, 10, 25}, the prompt in front of all tokens. The defaults are those with which it counts its parameters on
RoBERTa-large: k = 10, r = 4, m = 256.

Decided here: h(x) is the sentence state of the frozen backbone itself, from a first pass without the prompt as IDPG
has it. In the official code that is so for language understanding, where RoBERTa-large is both; for code the encoder is
a smaller model with a tokenizer of its own, which a prompt here cannot have. Z_S starts at twice the rows of Prompt
Tuning's start (the code draws N(0, 1)), so that training begins where these would stand: the gates start near a half.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from softprompt.methods.base import BuildContext, Recipe
from softprompt.methods.parts import tables
from softprompt.methods.parts.encoders import initialised
from softprompt.methods.parts.first_pass import FirstPass
from softprompt.methods.parts.generators import Token, sentence, sentence_token
from softprompt.methods.prompt_tuning import PromptTuning
from softprompt.methods.registry import register
from softprompt.sites.producer import Producer, View


@register
class LoPA(PromptTuning):
    """A prompt of the task under a low-rank gate of the instance (Jain et al., 2024)."""

    name: ClassVar[str] = "lopa"
    title: ClassVar[str] = "Prompt Tuning Strikes Back: Customizing Foundation Models with Low-Rank Prompt Adaptation"
    url: ClassVar[str] = "https://arxiv.org/abs/2405.15282"
    site: ClassVar[str] = "stream"
    evidence: ClassVar[str] = "official code and abstract; the backbone itself is the encoder"
    recipes: ClassVar[dict[str, Recipe]] = {
        "default": Recipe(
            1e-3,
            "the official script on models of code: AdamW; unmeasured here",
            schedule="constant",
            weight_decay=0.01,
            measured_on=(),
        ),
    }

    num_virtual_tokens: int = Field(10, ge=1, description="k, the virtual tokens (the paper: 5, 10, 25)")
    rank: int = Field(4, ge=1, description="r, the rank of the instance's part (the paper: 1, 2, 4)")
    bottleneck: int = Field(256, ge=1, description="m, the width of the two heads")
    sentence: Token | None = Field(
        None, description="the instance's vector: first, last or mean; by default first on encoders, else last"
    )
    dropout: float = Field(0.1, ge=0, lt=1, description="dropout on the instance's vector, for each head")

    def build(self, context: BuildContext) -> Producer:
        """Make Z_S `(k, E)` and the heads, fp32."""
        return LowRankGate(self, 2 * self._rows(context), context)


class LowRankGate(Producer):
    """The task's rows `(k, E)`, each entry times a gate that the instance's vector sets."""

    def __init__(self, options: LoPA, shared: Tensor, context: BuildContext) -> None:
        super().__init__()
        part = context.anatomy
        self.count, width = shared.shape
        self.placement = options.placement
        self.token: Token = options.sentence or sentence_token(part.kind)
        self.shared = nn.Parameter(shared)
        self.rows, self.columns = (Head(options, part.hidden_size, size, context) for size in (self.count, width))
        self.first_pass = FirstPass(part)

    def embed(self, view: View) -> Tensor:
        """Z_S * sigmoid(U V^T), `(U, k, E)`."""
        states, text = self.first_pass(view)
        vector = sentence(states, text, self.token)
        return self.shared * torch.sigmoid(self.rows(vector) @ self.columns(vector).mT)


class Head(nn.Module):
    """A factor of Z_I: `W' tanh(W h + b) + b'`, read as `(size, r)`."""

    def __init__(self, options: LoPA, inputs: int, size: int, context: BuildContext) -> None:
        super().__init__()
        self.rank = options.rank
        self.dropout = nn.Dropout(options.dropout)
        self.down = initialised(nn.Linear(inputs, options.bottleneck), context)
        self.up = nn.Linear(options.bottleneck, size * options.rank)
        nn.init.zeros_(self.up.bias)
        with torch.no_grad():
            for map_ in (self.down, self.up):
                map_.weight.copy_(tables.normal(map_.weight.shape, 0.02, context))

    def forward(self, vector: Tensor) -> Tensor:
        """Of vectors `(U, inputs)` the factor, `(U, size, r)`."""
        made: Tensor = self.up(torch.tanh(self.down(self.dropout(vector))))
        return made.view(len(made), -1, self.rank)
