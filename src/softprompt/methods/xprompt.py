r"""XPrompt: prompt tuning, pruned in two steps and trained again from where it stood.

Ma et al., "XPrompt: Exploring the Extreme of Prompt Tuning", EMNLP 2022, <https://arxiv.org/abs/2210.04457>:

    tokens   P^_i = gamma_i P_i,   gamma = 1,   I_i = E_x |dL/dgamma_i|,     the least important rows go
    pieces   Q^_e = zeta_e Q_e,    zeta = 1,    I_e = E_x |dL/dzeta_e|,      the least important pieces go
    rewind   what is left takes its values from before the pruning and is trained once more

P is the table of prompt tuning, `(p, e)`, trained first; Q_e the 16 equal pieces of a row that is left. Since
dL/dgamma_i = sum_j P_ij dL/dP_ij (and the same over a piece's columns), a backward pass to the table is enough, and no
mask is ever a variable.

Site `stream`. A pruned token leaves the sequence, a pruned piece is zero. Trained: p * e scalars; kept: the pieces that
are left. With nothing pruned this is prompt tuning. The course `xprompt` (`softprompt.training.courses.xprompt`) runs
the stages.

Open in what we could read of the paper, and decided here: the absolute gradient is taken row by row
(`importance_batch` takes several rows together); the rates are chosen one after the other, first the tokens' and then
the pieces', each candidate after a rewinding of its own and by the validation rows; the rates tried by default (the
paper searches 10 to 90 % at both levels); pieces compete over the whole prompt, not row by row; at least one token, and
one piece, is always left; a width that 16 does not divide is cut as evenly as can be.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from softprompt.errors import SoftPromptError
from softprompt.methods.base import BuildContext, Recipe
from softprompt.methods.parts.lists import split_at
from softprompt.methods.prompt_tuning import PromptTuning
from softprompt.methods.registry import register
from softprompt.sites.layout import Placement
from softprompt.sites.producer import Producer, View

Rate = Annotated[float, Field(ge=0, lt=1)]
Rates = Annotated[tuple[Rate, ...], split_at(","), Field(min_length=1)]


@register
class XPrompt(PromptTuning):
    """Prompt tuning with the unimportant tokens and pieces pruned away (Ma et al., 2022)."""

    name: ClassVar[str] = "xprompt"
    title: ClassVar[str] = "XPrompt: Exploring the Extreme of Prompt Tuning"
    url: ClassVar[str] = "https://arxiv.org/abs/2210.04457"
    site: ClassVar[str] = "stream"
    evidence: ClassVar[str] = (
        "detailed notes of the paper; the official repository holds no code; open choices are ours"
    )
    course: ClassVar[str] = "xprompt"
    recipes: ClassVar[dict[str, Recipe]] = {
        **PromptTuning.recipes,
        "encoder-decoder": Recipe(
            0.3,
            "the paper",
            optimizer="adafactor",
            schedule="constant",
            weight_decay=1e-5,
            epochs=100,
            measured_on=("t5",),
        ),
    }

    pieces: int = Field(16, ge=1, description="equal pieces that a row is cut into (the paper's 16)")
    token_rates: Rates = Field(
        (0.25, 0.5, 0.75), description="shares of tokens to prune; the best on the validation rows is taken"
    )
    piece_rates: Rates = Field(
        (0.25, 0.5, 0.75), description="shares of the pieces left to prune; the best on the validation rows is taken"
    )
    importance_batch: int = Field(1, ge=1, description="training rows whose gradient is taken together; 1: row by row")
    kept: Annotated[tuple[int, ...] | None, split_at(",")] = Field(
        None, description="the virtual tokens that are left, by rank; training fills it in"
    )

    def build(self, context: BuildContext) -> Producer:
        """Make the table of the tokens that are left, shape `(kept, E)`, fp32."""
        last = self.num_virtual_tokens - 1
        if self.kept is not None and not (self.kept and all(0 <= rank <= last for rank in self.kept)):
            raise SoftPromptError(f"kept must name ranks from 0 to {last} of the virtual tokens")
        if self.kept is not None and context.blank:
            rows = torch.zeros(len(self.kept), context.anatomy.embedding_size)
        else:
            rows = self._rows(context) if self.kept is None else self._rows(context)[list(self.kept)]
        return Pruned(rows, self.pieces, self.placement)


class Pruned(Producer):
    """The rows that are left, `(P, E)`, and which of their pieces are, bool, `(P, pieces)`."""

    static = True

    def __init__(self, rows: Tensor, pieces: int, placement: Placement) -> None:
        super().__init__()
        self.table = nn.Parameter(rows.clone())
        self.count, width = rows.shape
        self.placement = placement
        pieces = min(pieces, width)
        self.piece_of = nn.Buffer(torch.arange(width) * pieces // width, persistent=False)  # (E,)
        self.mask = nn.Buffer(torch.ones(self.count, pieces, dtype=torch.bool), persistent=False)

    def embed(self, view: View) -> Tensor:
        """The table with its pruned pieces zero, `(P, E)`."""
        return self.table * self.mask[:, self.piece_of]

    @torch.no_grad()
    def token_importance(self, gradient: Tensor) -> Tensor:
        """|dL/dgamma|, `(P,)`, from dL/dtable `(P, E)`."""
        return (self.table * gradient).sum(-1).abs()

    @torch.no_grad()
    def piece_importance(self, gradient: Tensor) -> Tensor:
        """|dL/dzeta|, `(P, pieces)`, from dL/dtable `(P, E)`."""
        product = self.table * gradient
        return torch.zeros_like(self.mask, dtype=product.dtype).index_add(1, self.piece_of, product).abs()

    def kept_scalars(self) -> int:
        """How many values of the table are left."""
        return int(self.mask[:, self.piece_of].sum())

    @torch.no_grad()
    def stored(self) -> dict[str, Tensor]:
        """The table, its pruned pieces zero."""
        return {"table": self.table * self.mask[:, self.piece_of]}
