r"""SuperPos-Prompt: every virtual token is a superposition of words.

Sadraei Javaheri et al., "SuperPos-Prompt: Enhancing Soft Prompt Tuning of Language Models with Superposition of Multi
Token Embeddings", 2024, <https://arxiv.org/abs/2406.05279>.

    p_i = (E_0 + D_i)^T w_i,   E_0 in R^{m x e} the embeddings of m sampled words, w_i in R^m,   i = 1..k

Site `stream`, as Prompt Tuning with the rows p_i. E_0 stays frozen; w_i and D_i are trained, D_i from zero, so that
weight decay pulls towards the words and not towards nothing. The weights pass no softmax. Trained: k m (1 + e), or k m
with `train_basis=False`, where a row can never leave the span of its words; stored: the rows p_i, k e scalars. The
paper leaves the frozen model's dropout out, which is this library's default too.

The paper's full text could not be read: the equation is the one that its public reviews quote, m = 128 is where its
abstract page says that gains flatten out. Decided here: all rows share the m words, which are drawn without replacement
from the frequent ones, and w_i starts at one of them, so that training starts from words as Prompt Tuning's does.
(Weights drawn from N(0, 1/m) start from sums that are like no word: on Gemma 3 270M none of the rates 1e-4 to 3e-2 got
away from there.)

What the first step moves, with g_i the loss's gradient at p_i:

    dL/dw_ij = (E_0j + D_ij) g_i,   dL/dD_ij = w_ij g_i

Every weight moves, but of D_i, w_ij being 0 elsewhere, the one word's row alone; the others follow as their weights
leave zero. `init="spread"` (ours) puts a random sign times 1/m beside the one: then all of D_i moves at once, and as an
Adam step is as long in every row and row j counts w_ij times, the m - 1 others together move p_i as far as the one
does. What they add to the start is about m^-1/2 of a word.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from softprompt.methods.base import BuildContext, Method, Recipe
from softprompt.methods.parts import tables
from softprompt.methods.parts.encoders import MadeTable, blank_table
from softprompt.methods.registry import register
from softprompt.sites.layout import Placement
from softprompt.sites.producer import Producer


@register
class SuperPos(Method):
    """Virtual tokens as trained sums of words (Sadraei Javaheri et al., 2024)."""

    name: ClassVar[str] = "superpos"
    title: ClassVar[str] = (
        "SuperPos-Prompt: Enhancing Soft Prompt Tuning of Language Models with Superposition of Multi Token Embeddings"
    )
    url: ClassVar[str] = "https://arxiv.org/abs/2406.05279"
    site: ClassVar[str] = "stream"
    evidence: ClassVar[str] = "abstract, and the equation as the paper's public reviews quote it; rates are our choice"
    recipes: ClassVar[dict[str, Recipe]] = {
        "gemma3_text": Recipe(
            0.003,
            "measured on Gemma 3 270M: 0.001 to 0.03 on validation rows of SST-2 and TREC",
            measured_on=("gemma3_text",),
        ),
        "default": Recipe(0.003, "our choice: the value measured on Gemma 3 270M", measured_on=()),
    }

    num_virtual_tokens: int = Field(10, ge=1, description="k, the number of virtual tokens")
    num_words: int = Field(128, ge=1, description="m, the words that a virtual token is made of")
    train_basis: bool = Field(True, description="train an update D_i of the words for every virtual token, too")
    init: Literal["word", "spread"] = Field(
        "word", description="first weights: 1 for one word, and 0 or (spread) 1/m of a random sign for all others"
    )
    placement: Placement = Field("front", description="where the virtual tokens stand")

    def build(self, context: BuildContext) -> Producer:
        """Make the weights `(k, m)`, fp32, and the words' embeddings."""
        if context.blank:
            return blank_table(self.num_virtual_tokens, self.placement, context)
        words = tables.sampled_vocabulary(self.num_words, context)
        weights = torch.eye(self.num_words)[torch.arange(self.num_virtual_tokens) % self.num_words]
        if self.init == "spread":
            signs = torch.randint(2, weights.shape, generator=context.generator) * 2 - 1
            weights = weights.where(weights > 0, signs / self.num_words)
        return MadeTable(weights, Superposition(words, self.num_virtual_tokens, self.train_basis), self.placement)


class Superposition(nn.Module):
    """Weights `(k, m)` to rows `(k, E)`.

    The words' embeddings are no part of the state: the same seed draws the same words again.
    """

    words: Tensor

    def __init__(self, words: Tensor, count: int, train_basis: bool) -> None:
        """See the class.

        Args:
            words: E_0, shape `(m, E)`.
            count: k.
            train_basis: make D_1..D_k, shape `(k, m, E)`.
        """
        super().__init__()
        self.register_buffer("words", words, persistent=False)
        self.update = nn.Parameter(torch.zeros(count, *words.shape)) if train_basis else None

    def forward(self, weights: Tensor) -> Tensor:
        """The rows, `(k, E)`."""
        rows = weights @ self.words
        return rows if self.update is None else rows + torch.einsum("km,kme->ke", weights, self.update)
