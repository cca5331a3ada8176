"""How a batch `(B, N)` lies in one row: see `prefix_sharing`, which says when it may.

First the virtual tokens of each prompt that stands in front of any text as it is, once. Then the fronts that rows of
one prompt share; a row of a prompt that reads its text, or stands elsewhere in it, shares none, and lies there whole,
its own virtual tokens in it; so does every row of an encoder, whose columns see those behind them. Then what follows
the fronts. Rows of a prompt that reads them lie side by side. Letters: G prompts in the batch, F fronts, T columns of
the one row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

import torch
from torch import Tensor

from softprompt.backbones.anatomy import Anatomy
from softprompt.backbones.onednn import few
from softprompt.backbones.windows import slides
from softprompt.sites.arguments import conditioning_of
from softprompt.sites.common_fronts import Front, common_fronts, rows_of
from softprompt.sites.forward_call import Call
from softprompt.sites.layout import Group, Layout, Slots
from softprompt.sites.ragged import Ragged
from softprompt.sites.shared_attention import Block, SharedPrefix, by_length


def in_one_row(
    call: Call, anatomy: Anatomy, rows: Sequence[int], given: Mapping[str, object], few_widths: bool = False
) -> dict[str, object]:
    """The body's arguments; the call is told what attention needs to know, and where the virtual tokens are.

    Args:
        call: the open call.
        anatomy: the parts of the backbone.
        rows: the prompt of each row.
        given: the body's arguments, ids `(B, N)` and maybe a mask among them.
        few_widths: whether filler behind all rows makes the row one of few widths (`softprompt.backbones.onednn`).
    """
    ids, mask = given["input_ids"], given.get("attention_mask")
    assert isinstance(ids, Tensor)
    assert mask is None or isinstance(mask, Tensor)
    text = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask.bool()
    conditioning = conditioning_of(call, ids)
    told = text if conditioning is None else text & conditioning.bool()
    causal = anatomy.kind == "causal"
    shared = [causal and one.stands_before_all for one in call.footprints]
    order, fronts = _order(ids, text, rows, [call.slots[row].count * (not shared[row]) for row in rows], causal)
    call.resolved, call.positions, call.moved = False, None, None
    call.calls.clear()
    row = _Row(ids, text, rows, order, fronts, call.slots, shared)
    places = row.columns.index_select(0, torch.tensor(order, device=ids.device).argsort())
    if not causal:  # heads that read column 0 find the row's first token, wherever padding is
        first = places.gather(1, text.to(torch.int8).argmax(-1, keepdim=True))
        places = torch.where(text, places, first)
    width = sum(block.width for block in row.blocks)
    call.shared_prefix = SharedPrefix(row.blocks, places, dict(given), causal, slides(anatomy))
    call.layout = row.layout(told[order], anatomy, few(width) if few_widths else width)
    # A mask in four dimensions is left as it is: attention makes its own of what it is given.
    unread = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=ids.device)
    return {**given, "input_ids": call.layout.ids, "position_ids": call.layout.positions, "attention_mask": unread}


def _order(
    ids: Tensor, text: Tensor, rows: Sequence[int], inside: Sequence[int], causal: bool
) -> tuple[list[int], list[Front]]:
    """Rows in the order in which they lie, those of a prompt side by side where it reads them; and their fronts.

    Where some share a front, all lie by their prompts; else by their lengths, so that neighbours in attention are about
    as long.

    Args:
        ids: `(B, N)`.
        text: which of them are text, `(B, N)`.
        rows: the prompt of each row.
        inside: how many virtual tokens stand in each row.
        causal: whether rows may share fronts.
    """
    by_prompt = sorted(range(len(rows)), key=rows.__getitem__)
    lengths = text.sum(-1).tolist()
    if causal:
        # The text from the first column on, wherever padding is.
        first = ids.gather(1, (~text).to(torch.int8).argsort(dim=1, stable=True))
        kinds = [(rows[place], place if inside[place] else -1) for place in by_prompt]
        fronts = common_fronts(first[by_prompt], [lengths[place] for place in by_prompt], kinds)
        if len(fronts) < len(rows):
            return by_prompt, fronts
    order = sorted(by_prompt, key=lambda place: (rows[place] if inside[place] else -1, lengths[place]))
    return order, [Front(1, lengths[place], lengths[place]) for place in order]


class _Row:
    """The one row of a batch, of which rows whose prompt reads them lie side by side.

    Attributes:
        blocks: the virtual tokens in front of all texts, the fronts, and what follows them.
        columns: of each column, rows in the order in which they lie, that of the one row, `(B, N)`; of padding that of
            a neighbour.
    """

    def __init__(
        self,
        ids: Tensor,
        text: Tensor,
        rows: Sequence[int],
        order: Sequence[int],
        fronts: Sequence[Front],
        slots: Sequence[Slots],
        before_all: Sequence[bool],
    ) -> None:
        """Of ids and which of them are text, each `(B, N)`, and which prompts stand the same in front of any text."""
        self._order, self._present = order, sorted(set(rows))
        self._ids, self._text, rows = ids[order], text[order], [rows[place] for place in order]
        text = self._text
        self._slots = [slots[one] for one in self._present]
        self._shared = [before_all[one] for one in self._present]
        self._which = [self._present.index(row) for row in rows]
        inside = [self._slots[one].count * (not self._shared[one]) for one in self._which]
        taken = [one.prefix + one.count * shared for one, shared in zip(self._slots, self._shared, strict=True)]
        self._begin = self._ints([taken[one] for one in self._which])  # (B,) the position of a row's first column
        self._rank = (text.long().cumsum(-1) - 1).clamp(min=0)  # [B, N] of each column in its row
        self._lengths, self._counted = text.sum(-1), self._rank  # [B, N] and how many positions of it stand before
        if any(inside):
            own, self._at = self._ints(inside), self._places_inside()
            behind = self._rank >= self._at[:, None]
            moving = own * self._ints([self._slots[one].shift for one in self._which])
            self._counted = self._rank + moving[:, None] * behind
            self._rank, self._lengths = self._rank + own[:, None] * behind, self._lengths + own
        self._owner, self._front, self._lead = self._fronts(fronts, inside)
        self.blocks = self._blocks()
        ends = self.blocks[0].width + self._front.cumsum(0)  # [F]
        behind = self._lengths - self._front[self._owner]  # [B]
        after = ends[-1] + behind.cumsum(0) - behind - self._front[self._owner]
        # (B,) the column at which a row that lies whole begins, or its front
        self._starts = (ends - self._front)[self._owner]
        in_front = self._rank < self._front[self._owner][:, None]
        self.columns = self._rank + torch.where(in_front, self._starts[:, None], after[:, None])

    def _ints(self, values: Sequence[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.long, device=self._ids.device)

    def _places_inside(self) -> Tensor:
        """Before which column of its row's text the virtual tokens in it stand, `(B,)`."""
        placements = [self._slots[one].placement for one in self._which]
        after = self._ints([placement == "after_bos" for placement in placements]).minimum(self._lengths)
        return torch.where(self._ints([placement == "end" for placement in placements]) > 0, self._lengths, after)

    def _fronts(self, found: Sequence[Front], inside: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """The front of each row, `(B,)`, how many columns each has, and the first row of each, `(F,)`."""
        lead = [0, *accumulate(one.rows for one in found)][:-1]
        columns = [one.columns + inside[row] for one, row in zip(found, lead, strict=True)]
        return rows_of(found, self._ids.device), self._ints(columns), self._ints(lead)

    def _blocks(self) -> tuple[Block, ...]:
        several = len(self._slots) > 1
        which = self._ints(self._which) if several else None
        counts = [one.count * shared for one, shared in zip(self._slots, self._shared, strict=True)]
        prefixes = self._ints([one.prefix for one in self._slots])
        virtual = Block(self._ints(counts), 0, prefixes, (), self._ints(range(len(counts))) if several else None)
        mine = None if which is None else which[self._lead]
        lie = self._front, virtual.width, self._begin[self._lead], ((virtual, mine),), mine
        behind = self._lengths - self._front[self._owner]
        rows = behind.nonzero()[:, 0]
        if not len(rows):
            return virtual, *by_length(*lie)
        shared = Block(*lie)
        mine, owner = None if which is None else which[rows], self._owner[rows]
        starts = self._begin[rows] + self._front[owner]
        above = ((virtual, mine), (shared, owner))
        return virtual, shared, *by_length(behind[rows], virtual.width + shared.width, starts, above, mine)

    def layout(self, conditioning: Tensor, anatomy: Anatomy, width: int) -> Layout:
        """The one row of some width, given which of the batch's columns `(B, N)` may condition a prompt."""
        text = self._text
        places = self.columns[text]
        ids, positions = self._ids[text][0].repeat(width), self._ids.new_zeros(width)
        told = torch.zeros(width, dtype=torch.bool, device=ids.device)
        ids[places], positions[places] = self._ids[text], (self._begin[:, None] + self._counted)[text]
        told[places] = conditioning[text]
        groups = []
        for rank, slots in enumerate(self._slots):
            if slots.count:
                group, begin = self._in_front(rank, width) if self._shared[rank] else self._inside(rank, told)
                order = torch.arange(slots.count, device=ids.device)
                ids[group.slots], positions[group.slots] = order + slots.base, begin[:, None] + order * slots.shift
                groups.append(group)
        return Layout(ids[None], None, positions[None] + anatomy.position_offset, None, tuple(groups), False)

    def _in_front(self, rank: int, width: int) -> tuple[Group, Tensor]:
        """The virtual tokens of a prompt that all of its rows see, and the position of the first, `(1,)`."""
        virtual, slots = self.blocks[0], self._slots[rank]
        columns = virtual.begins[rank] + torch.arange(slots.count, device=self._ids.device)
        nothing = torch.zeros(1, width, dtype=torch.bool, device=self._ids.device)
        return Group(self._present[rank], None, columns[None], nothing), virtual.starts[rank, None]

    def _inside(self, rank: int, told: Tensor) -> tuple[Group, Tensor]:
        """The virtual tokens `(U, P)` of a prompt that stand in its rows, and the position of each row's first."""
        mine = [place for place, one in enumerate(self._which) if one == rank]
        given = sorted(mine, key=self._order.__getitem__)  # units are in the user's order
        order = None if given == mine else self._ints([place - mine[0] for place in given])
        apart = Ragged(self._lengths[mine[0] : mine[-1] + 1], int(self._starts[mine[0]]), order)
        columns = (self._starts + self._at)[given, None] + torch.arange(self._slots[rank].count, device=told.device)
        group = Group(self._present[rank], torch.zeros_like(columns[:, 0]), columns, apart.apart(told), apart)
        # Virtual tokens that take no positions share that of the token before them, or in front that of the first.
        counted = self._at if self._slots[rank].shift else (self._at - 1).clamp(min=0)
        return group, (self._begin + counted)[given]
