"""Virtual tokens enter a batch: the index arithmetic that all sites share. The letters are those of `layout`.

The rule of insertion is one: a row of a shorter prompt gets masked filler columns on its left, so that a column n of
the user lies at `filler + n + P * (marks at or before n)`, where a mark is a place of insertion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from softprompt.errors import SoftPromptError
from softprompt.sites.layout import Group, Layout, Placement, Slots, UserBatch


@dataclass(frozen=True)
class Insertion:
    """How the columns of a batch move when virtual tokens enter it; see `plan`.

    Attributes:
        keep: new column of each old one, shape `(B, N)`.
        added: columns of the W inserted places, filler first, shape `(B, W)`.
        filler: how many of them are filler in each row, shape `(B, 1)`.
        which: ordinal of its prompt within the row, shape `(B, W)`; 0 at filler.
        rank: rank of each inserted place within its prompt, shape `(B, W)`; undefined at filler.
        column: the user's column before which each place goes in, 0..N, shape `(B, W)`.
    """

    keep: Tensor
    added: Tensor
    filler: Tensor
    which: Tensor
    rank: Tensor
    column: Tensor

    def spread(self, values: Tensor, inserted: Tensor | float) -> Tensor:
        """Values `(B, N)` at their new columns and `inserted` at the others: shape `(B, N + W)`."""
        rows, width = values.shape[0], values.shape[1] + self.added.shape[1]
        new = torch.as_tensor(inserted, dtype=values.dtype, device=values.device).expand(rows, self.added.shape[1])
        out = torch.empty(rows, width, dtype=values.dtype, device=values.device)
        return out.scatter(1, self.keep, values).scatter(1, self.added, new)

    @property
    def is_slot(self) -> Tensor:
        """Which inserted places are virtual tokens rather than filler: bool, shape `(B, W)`."""
        places = torch.arange(self.added.shape[1], device=self.added.device)
        return places[None, :] >= self.filler


def documents(position_ids: Tensor | None, mask: Tensor | None) -> Tensor | None:
    """The document of each column, shape `(B, N)`, where positions show a packed batch; else None.

    As in transformers' packed format, a batch is packed when it has no mask and its positions restart inside a row.

    Raises:
        SoftPromptError: a compiled graph, whose shapes cannot depend on how many documents there are.
    """
    if position_ids is None or position_ids.ndim == 3 or mask is not None:
        return None
    if torch.compiler.is_compiling():
        raise SoftPromptError(
            "a compiled model takes position_ids with an attention_mask only: packed rows run uncompiled"
        )
    restarts = torch.diff(position_ids, dim=-1, prepend=position_ids[:, :1] - 1) != 1
    return restarts.cumsum(-1) if bool(restarts.any()) else None


def starts(mask: Tensor | None, shape: torch.Size, placements: Sequence[Placement], device: torch.device) -> Tensor:
    """Column before which each row's virtual tokens go, shape `(B,)`; N means after the last column."""
    rows, width = shape
    first = torch.zeros(rows, dtype=torch.long, device=device) if mask is None else mask.long().argmax(-1)
    last = torch.full_like(first, width) if mask is None else width - mask.long().flip(-1).argmax(-1)
    if all(p == "front" for p in placements):
        return first
    after = torch.tensor([p == "after_bos" for p in placements], device=device)
    end = torch.tensor([p == "end" for p in placements], device=device)
    return torch.where(end, last, first + after)


def plan(marks: Tensor, counts: Tensor, width: int) -> Insertion:
    """Find the new columns of a batch.

    Args:
        marks: 1 before each column where a prompt goes in, shape `(B, N + 1)`.
        counts: P of each row's prompt, shape `(B, 1)`.
        width: W, the largest number of places that a row gains.
    """
    passed = marks.cumsum(-1)  # [B, N+1] prompts that stand before a column
    filler = width - passed[:, -1:] * counts  # [B, 1]
    columns = torch.arange(marks.shape[1], device=marks.device)
    moved = filler + columns + passed * counts  # [B, N+1]
    places = torch.arange(width, device=marks.device)[None, :]
    order = places - filler  # [B, W] counts the virtual tokens of a row; negative at filler
    which = order.clamp(min=0) // counts.clamp(min=1)  # the prompt's ordinal within the row
    rank = order - which * counts
    before = (passed[:, None, :] <= which[:, :, None]).sum(-1)  # [B, W] column of the mark that opens this prompt
    added = torch.where(order < 0, places, filler + before + order)
    return Insertion(moved[:, :-1], added, filler, which, rank, before)


def insert(batch: UserBatch, prompts: Sequence[Slots], rows: Sequence[int], offset: int = 0) -> Layout:
    """Put each row's virtual tokens at their placement.

    Args:
        batch: the user's.
        prompts: the bank.
        rows: the prompt of each row.
        offset: the model's first position id.
    """
    chosen = [prompts[row] for row in rows]
    docs = documents(batch.positions, batch.mask)
    marks, moves = _moves(batch, docs, chosen)
    base = _column([slots.base for slots in chosen], batch.ids.device)
    nobody = max(slots.base + slots.count for slots in prompts)  # the id of filler: no word and no prompt has it
    virtual = torch.where(moves.is_slot, base + moves.rank, nobody)
    seen = None
    if docs is None and not (batch.mask is None and len({slots.count for slots in chosen}) == 1):
        seen = moves.spread(batch.seen, moves.is_slot.long())
    if batch.positions is None:
        positions = _counted_positions(batch, moves, seen, chosen, offset)
    else:
        positions = _moved_positions(batch.positions, moves, docs, marks, chosen)
    text = moves.spread(batch.text, False)
    return Layout(
        ids=moves.spread(batch.ids, virtual),
        mask=None if seen is None else seen.to((batch.ids if batch.mask is None else batch.mask).dtype),
        positions=positions,
        keep=moves.keep if moves.added.shape[1] else None,
        groups=(
            _groups_of_rows(moves, text, prompts, rows)
            if docs is None
            else _groups_of_documents(moves, docs, text, prompts, rows)
        ),
        packed=docs is not None,
    )


def _moves(batch: UserBatch, docs: Tensor | None, chosen: Sequence[Slots]) -> tuple[Tensor, Insertion]:
    """1 before each column where a prompt goes in, shape `(B, N + 1)`, and how the columns move for it."""
    counts = _column([slots.count for slots in chosen], batch.ids.device)
    if docs is None:
        marks = _row_marks(batch.mask, batch.ids.shape, chosen, batch.ids.device)
        return marks, plan(marks, counts, max(slots.count for slots in chosen))
    marks = _document_marks(docs, chosen)
    return marks, plan(marks, counts, int((marks.sum(-1, keepdim=True) * counts).max()))


def _column(values: Sequence[int], device: torch.device) -> Tensor:
    """One value a row, shape `(B, 1)`."""
    return torch.tensor(values, device=device)[:, None]


def _row_marks(mask: Tensor | None, shape: torch.Size, chosen: Sequence[Slots], device: torch.device) -> Tensor:
    """1 where a row's prompt goes in, shape `(B, N + 1)`."""
    marks = torch.zeros(shape[0], shape[1] + 1, dtype=torch.long, device=device)
    return marks.scatter(1, starts(mask, shape, [slots.placement for slots in chosen], device)[:, None], 1)


def extend_mask(
    mask: Tensor, prompts: Sequence[Slots], rows: Sequence[int], seen: Sequence[int] | None = None
) -> Tensor:
    """A user's mask `(B, N)` as `insert` would make it, `(B, N + W)`: for decoding steps and cross-attention.

    Args:
        mask: the user's mask.
        prompts: the bank.
        rows: the prompt of each row.
        seen: for each row 1 where its virtual tokens are seen, else 0; None for all.
    """
    chosen = [prompts[row] for row in rows]
    counts = _column([slots.count for slots in chosen], mask.device)
    marks = _row_marks(mask, mask.shape, chosen, mask.device)
    moves = plan(marks, counts, max(slots.count for slots in chosen))
    shown = _column([1] * len(rows) if seen is None else list(seen), mask.device)
    return moves.spread(mask, (moves.is_slot * shown).to(mask.dtype))


def _groups_of_rows(moves: Insertion, text: Tensor, prompts: Sequence[Slots], rows: Sequence[int]) -> tuple[Group, ...]:
    groups = []
    for index in sorted(set(rows)):
        count = prompts[index].count
        if not count:
            continue
        slots = moves.added[:, moves.added.shape[1] - count :]
        mine = [row for row, prompt in enumerate(rows) if prompt == index]
        if len(mine) == len(rows):
            groups.append(Group(index, None, slots, text))
        else:
            chosen = torch.tensor(mine, device=text.device)
            groups.append(Group(index, chosen, slots[chosen], text[chosen]))
    return tuple(groups)


def _groups_of_documents(
    moves: Insertion, docs: Tensor, text: Tensor, prompts: Sequence[Slots], rows: Sequence[int]
) -> tuple[Group, ...]:
    doc_of = moves.spread(docs, torch.where(moves.is_slot, moves.which, -1))
    groups = []
    for index in sorted(set(rows)):
        count = prompts[index].count
        if not count:
            continue
        mine = torch.tensor([row == index for row in rows], device=docs.device)
        inside = moves.is_slot & mine[:, None]
        slots = moves.added[inside].view(-1, count)
        units = inside.nonzero()[:, 0].view(-1, count)[:, 0]
        same = doc_of[units] == doc_of[units].gather(1, slots[:, :1])
        groups.append(Group(index, units, slots, text[units] & same))
    return tuple(groups)


def _document_marks(docs: Tensor, chosen: Sequence[Slots]) -> Tensor:
    """1 where a document's prompt goes in, shape `(B, N + 1)`."""
    if any(slots.placement == "end" for slots in chosen):
        raise SoftPromptError("packed rows take prompts in front or after BOS: set placement to 'front' or 'after_bos'")
    opens = torch.diff(docs, dim=-1, prepend=docs[:, :1] - 1) != 0
    after = torch.tensor([slots.placement == "after_bos" for slots in chosen], device=docs.device)[:, None]
    pad = torch.nn.functional.pad
    return torch.where(after, pad(opens, (1, 0)), pad(opens, (0, 1))).long()


def _moved_positions(
    given: Tensor,
    moves: Insertion,
    docs: Tensor | None,
    marks: Tensor,
    chosen: Sequence[Slots],
    reached: Tensor | None = None,
) -> Tensor:
    """Position of every column, made of the user's, `(B, N)`, or `(A, B, N)` of A axes.

    Virtual tokens that shift the text count like tokens; others share the position of the token before them, or in
    front that of the first. What they count on from is `reached`, `(B, N)`, by default the user's.
    """
    if given.ndim == 3:  # virtual tokens have the position of text: that of the axis which is furthest
        furthest = given.amax(0)
        return torch.stack([_moved_positions(axis, moves, docs, marks, chosen, furthest) for axis in given])
    device, reached = given.device, given if reached is None else reached
    moving = _column([slots.shift for slots in chosen], device)
    prefix = _column([slots.prefix for slots in chosen], device)
    counts = _column([slots.count for slots in chosen], device) * moving
    opened = marks[:, :-1].cumsum(-1) - (0 if docs is None else docs)
    front = _column([slots.placement == "front" for slots in chosen], device)
    first = reached.gather(1, moves.column.clamp(max=given.shape[1] - 1))
    before = reached.gather(1, (moves.column - 1).clamp(min=0))
    begins = torch.where(front, first, before + moving.long())
    slot_positions = torch.where(moves.is_slot, begins + moves.rank * moving, 0)
    return moves.spread(given + opened * counts, slot_positions) + prefix


def _counted_positions(
    batch: UserBatch, moves: Insertion, seen: Tensor | None, chosen: Sequence[Slots], offset: int
) -> Tensor | None:
    """Position of every column, counted over what is seen; None where the model's own counting is right."""
    if seen is None and all(slots.shift and not slots.prefix for slots in chosen):
        return None
    moving = _column([slots.shift for slots in chosen], batch.ids.device)
    prefix = _column([slots.prefix for slots in chosen], batch.ids.device)
    counted = moves.spread(batch.seen, (moves.is_slot & moving).long())
    return (counted.cumsum(-1) - 1).clamp(min=0) + prefix + offset
