r"""DePT: a short prompt, and a low-rank update of the text's embeddings by position.

Shi, Lipani, "DePT: Decomposed Prompt Tuning for Parameter-Efficient Fine-tuning", ICLR 2024,
<https://arxiv.org/abs/2309.05173>.

    [P_s; e(x_j) + (alpha / sqrt r) (A B)_j],   P_s in R^{m x e},   A in R^{S x r},   B in R^{r x e},   j = 1..n

Site `stream`: the m virtual tokens resolve to the rows of P_s, and the text's j-th token is moved by the j-th row of
A B. A ~ U(-r^-1/2, r^-1/2) (the code's Kaiming draw), B = 0, so training starts at Prompt Tuning with a short prompt.
Trained and stored: m e + r (S + e) scalars: with m = 40, r = 45, S = 256 and e = 768 as many as a prompt of 100 rows.
A and B have a learning rate of their own (on T5 5e-4, 5e-3 or 0.3 beside 0.3 to 0.4 for P_s), without which the method
fails; `update_rate` = 0.01 is our choice for other backbones, whose embeddings are smaller.

Decided here: j counts the text that is seen, so padding moves nothing (the code counts padded columns); what a row
answers or `generate` adds is not moved (the code moves all columns in training and none in a decoding step), and
neither is text beyond S. Rows of P_s start from words.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from softprompt.methods.base import BuildContext, Recipe
from softprompt.methods.parts import tables
from softprompt.methods.prompt_tuning import PromptTuning, Table
from softprompt.methods.registry import register
from softprompt.sites.producer import Producer, View


@register
class DePT(PromptTuning):
    """A short prompt and a low-rank update by position (Shi and Lipani, 2024)."""

    name: ClassVar[str] = "dept"
    title: ClassVar[str] = "DePT: Decomposed Prompt Tuning for Parameter-Efficient Fine-tuning"
    url: ClassVar[str] = "https://arxiv.org/abs/2309.05173"
    site: ClassVar[str] = "stream"
    evidence: ClassVar[str] = "official code and abstract"
    recipes: ClassVar[dict[str, Recipe]] = {
        "encoder-decoder": Recipe(
            0.3, "the paper on T5: 0.3 to 0.4 for the prompt, AdamW", weight_decay=1e-5, measured_on=("t5",)
        ),
        "default": Recipe(0.03, "our choice: Prompt Tuning's, which was measured on Gemma 3 270M", measured_on=()),
    }

    num_virtual_tokens: int = Field(40, ge=1, description="m, the length of the short prompt")
    rank: int = Field(45, ge=1, description="r, the rank of the update")
    max_positions: int = Field(256, ge=1, description="S, the text tokens that are moved; later ones stay as they are")
    alpha: float = Field(8.0, gt=0, description="the update is scaled by alpha / sqrt(r)")
    update_rate: float = Field(
        0.01, gt=0, description="the learning rate of A and B as a multiple of the prompt's (the paper: 1/600 to 1)"
    )

    def build(self, context: BuildContext) -> Producer:
        """Make P_s `(m, E)`, A `(S, r)` and B `(r, E)`, fp32."""
        rows = self._rows(context)
        positions = tables.uniform((self.max_positions, self.rank), self.rank**-0.5, context)
        return Decomposed(self, rows, positions)


class Decomposed(Table):
    """P_s `(m, E)`, A `(S, r)` and B `(r, E)`; the text is moved, so rows share no states."""

    static = False

    def __init__(self, options: DePT, rows: Tensor, positions: Tensor) -> None:
        super().__init__(rows, options.placement)
        self.positions = nn.Parameter(positions)
        self.directions = nn.Parameter(torch.zeros(options.rank, rows.shape[1]))
        self.scale = options.alpha * options.rank**-0.5
        self.update_rate = options.update_rate

    def shift_text(self, view: View) -> Tensor:
        """Row j of A B for the j-th text token, `(U, T, E)`."""
        update = self.scale * (self.positions @ self.directions)  # [S, E]
        order = view.text.long().cumsum(-1) - 1  # [U, T]
        moved = view.text & (order < len(update))
        change: Tensor = update[order.clamp(0, len(update) - 1)] * moved[..., None]
        return change

    def rates(self) -> dict[str, float]:
        """A and B follow a rate of their own."""
        return {"positions": self.update_rate, "directions": self.update_rate}
