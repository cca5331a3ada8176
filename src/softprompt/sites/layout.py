"""Where virtual tokens stand in a batch: what the sites know of prompts and of the batch that they enter.

A *unit* is one run of text that carries one prompt: a row, or one document of a packed row. Letters: B rows, N columns
as the user gave them, W columns added, T = N + W columns in all, U units, P virtual tokens of a prompt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from softprompt.sites.ragged import Ragged

Placement = Literal["front", "after_bos", "end"]


@dataclass(frozen=True)
class Slots:
    """What the layout needs to know of one attached prompt.

    Attributes:
        base: the id of its first virtual token.
        count: P, how many virtual tokens it puts into the sequence.
        placement: where they go when the ids do not hold them already.
        shift: whether they take positions, so that the text after them moves on by P.
        prefix: positions taken in front of the sequence by keys and values at the site `attention`.
    """

    base: int
    count: int
    placement: Placement
    shift: bool
    prefix: int


@dataclass(frozen=True)
class UserBatch:
    """A batch as the user gave it.

    Attributes:
        ids: shape `(B, N)`.
        mask: attention mask, shape `(B, N)`, or None where every column is seen.
        positions: position ids, counted from 0, shape `(B, N)`, or `(A, B, N)` of A axes, or None.
        conditioning: columns that may condition a prompt, bool, shape `(B, N)`, or None for all.
    """

    ids: Tensor
    mask: Tensor | None = None
    positions: Tensor | None = None
    conditioning: Tensor | None = None

    @property
    def seen(self) -> Tensor:
        """1 at the columns that are seen, an integer, shape `(B, N)`."""
        return torch.ones_like(self.ids) if self.mask is None else self.mask.long()

    @property
    def text(self) -> Tensor:
        """Columns that may condition a prompt, bool, shape `(B, N)`; padding may not."""
        seen = torch.ones_like(self.ids, dtype=torch.bool) if self.mask is None else self.mask.bool()
        return seen if self.conditioning is None else seen & self.conditioning.bool()


@dataclass(frozen=True)
class Group:
    """The units of one prompt in a batch.

    Attributes:
        prompt: index of the prompt in the bank.
        rows: row of each unit, shape `(U,)`, or None where the units are the rows 0..B-1 in order.
        slots: column of each virtual token, shape `(U, P)`.
        text: which columns may condition the prompt, bool, shape `(U, T)`: no padding, no virtual token, no answer.
        apart: where the units lie one after the other in one row, each of which sees its own columns alone; `text` then
            is of these, `(U, W)`. Else None.
    """

    prompt: int
    rows: Tensor | None
    slots: Tensor
    text: Tensor
    apart: Ragged | None = None


@dataclass(frozen=True)
class Layout:
    """A batch with its virtual tokens in place.

    Attributes:
        ids: shape `(B, T)`.
        mask: attention mask, shape `(B, T)`, or None where every column is seen.
        positions: position ids counted from 0, shape `(B, T)`, or `(A, B, T)` of A axes; None where the model's own
            counting is right.
        keep: the column of each of the user's columns, shape `(B, N)`, or None where nothing was inserted.
        groups: one for each prompt that has virtual tokens in the batch.
        packed: whether rows hold several documents.
    """

    ids: Tensor
    mask: Tensor | None
    positions: Tensor | None
    keep: Tensor | None
    groups: tuple[Group, ...]
    packed: bool

    @property
    def seen(self) -> Tensor:
        """Which columns are seen, bool, shape `(B, T)`."""
        return torch.ones_like(self.ids, dtype=torch.bool) if self.mask is None else self.mask.bool()
