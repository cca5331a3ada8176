"""The layout's index arithmetic against plain lists, row by row."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from softprompt.errors import SoftPromptError
from softprompt.sites.insertion import extend_mask, insert
from softprompt.sites.layout import Slots, UserBatch
from softprompt.sites.preplaced import read_layout

V = 50
PLACEMENTS = ("front", "after_bos", "end")


@dataclass
class Row:
    words: list[int]
    left: int
    right: int
    prompt: int
    conditioning: list[bool]

    @property
    def ids(self) -> list[int]:
        return [0] * self.left + self.words + [0] * self.right

    @property
    def mask(self) -> list[int]:
        return [0] * self.left + [1] * len(self.words) + [0] * self.right


@st.composite
def banks(draw: st.DrawFn) -> list[Slots]:
    bank, base = [], V
    for _ in range(draw(st.integers(1, 3))):
        count = draw(st.integers(0, 4))
        bank.append(
            Slots(base, count, draw(st.sampled_from(PLACEMENTS)), draw(st.booleans()), draw(st.sampled_from([0, 0, 2])))
        )
        base += count
    return bank


@st.composite
def batches(draw: st.DrawFn, bank: list[Slots], *, padding: bool = True) -> list[Row]:
    width = draw(st.integers(1, 8))
    rows = []
    for _ in range(draw(st.integers(1, 4))):
        length = draw(st.integers(1, width)) if padding else width
        left = draw(st.integers(0, width - length))
        words = draw(st.lists(st.integers(1, V - 1), min_size=length, max_size=length))
        conditioning = draw(st.lists(st.booleans(), min_size=width, max_size=width))
        rows.append(Row(words, left, width - length - left, draw(st.integers(0, len(bank) - 1)), conditioning))
    return rows


@dataclass
class Plain:
    """A row of the layout as lists: what stands in each column, and what is to be known of it."""

    ids: list[int]
    mask: list[int]
    positions: list[int]
    keep: list[int]
    slots: list[int]
    text: list[bool]


def derive(row: Row, slots: Slots, width: int, nobody: int) -> Plain:
    """Filler first, then the user's columns with the virtual tokens among them."""
    filler = width - slots.count
    at = {
        "front": row.left,
        "after_bos": row.left + 1,
        "end": row.left + len(row.words),
    }[slots.placement]
    cells = [("filler", 0)] * filler
    for column in range(len(row.ids) + 1):
        if column == at:
            cells += [("slot", rank) for rank in range(slots.count)]
        if column < len(row.ids):
            cells.append(("user", column))
    ids, mask, positions, text = [], [], [], []
    counted = 0
    for kind, number in cells:
        seen = kind == "slot" or (kind == "user" and row.mask[number] == 1)
        takes = kind == "user" and row.mask[number] == 1 or kind == "slot" and slots.shift
        counted += takes
        ids.append(
            {"filler": nobody, "slot": slots.base + number, "user": row.ids[number] if kind == "user" else 0}[kind]
        )
        mask.append(int(seen))
        positions.append(max(counted - 1, 0) + slots.prefix)
        text.append(kind == "user" and row.mask[number] == 1 and row.conditioning[number])
    keep = [column for column, (kind, _) in enumerate(cells) if kind == "user"]
    return Plain(ids, mask, positions, keep, [c for c, (kind, _) in enumerate(cells) if kind == "slot"], text)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_insertion(data: st.DataObject) -> None:
    bank = data.draw(banks())
    rows = data.draw(batches(bank))
    chosen = [bank[row.prompt] for row in rows]
    width, nobody = max(slots.count for slots in chosen), max(slots.base + slots.count for slots in bank)
    mask = torch.tensor([row.mask for row in rows])
    given = UserBatch(
        torch.tensor([row.ids for row in rows]), mask, None, torch.tensor([row.conditioning for row in rows])
    )
    layout = insert(given, bank, [row.prompt for row in rows], 3)
    plain = [derive(row, slots, width, nobody) for row, slots in zip(rows, chosen, strict=True)]
    assert layout.ids.tolist() == [p.ids for p in plain]
    assert layout.mask is not None
    assert layout.mask.tolist() == [p.mask for p in plain]
    assert layout.positions is not None
    seen = layout.mask.bool()
    expected = torch.tensor([p.positions for p in plain]) + 3
    assert layout.positions[seen].tolist() == expected[seen].tolist()
    if width:
        assert layout.keep is not None
        assert layout.keep.tolist() == [p.keep for p in plain]
    else:
        assert layout.keep is None
    found = {}
    for group in layout.groups:
        units = range(len(rows)) if group.rows is None else group.rows.tolist()
        for unit, slots_of_unit, text in zip(units, group.slots.tolist(), group.text.tolist(), strict=True):
            assert rows[unit].prompt == group.prompt
            found[unit] = (slots_of_unit, text)
    assert found == {i: (p.slots, p.text) for i, (p, s) in enumerate(zip(plain, chosen, strict=True)) if s.count}
    extended = extend_mask(mask, bank, [row.prompt for row in rows])
    assert extended.tolist() == [p.mask for p in plain]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_positions_of_the_users_own(data: st.DataObject) -> None:
    """Positions that a user counts from the mask give those that the layout counts itself."""
    bank = data.draw(banks())
    rows = data.draw(batches(bank))
    ids, mask = torch.tensor([row.ids for row in rows]), torch.tensor([row.mask for row in rows])
    index = [row.prompt for row in rows]
    own = (mask.cumsum(-1) - 1).clamp(min=0)
    implied, explicit = insert(UserBatch(ids, mask), bank, index, 0), insert(UserBatch(ids, mask, own), bank, index, 0)
    assert implied.mask is not None
    assert implied.positions is not None
    assert explicit.positions is not None
    seen = implied.mask.bool()
    assert explicit.positions[seen].tolist() == implied.positions[seen].tolist()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_mask_where_every_column_is_seen(data: st.DataObject) -> None:
    bank = data.draw(banks())
    rows = data.draw(batches(bank, padding=False))
    ids, index = torch.tensor([row.ids for row in rows]), [row.prompt for row in rows]
    with_mask = insert(UserBatch(ids, torch.ones_like(ids)), bank, index, 0)
    without = insert(UserBatch(ids), bank, index, 0)
    assert torch.equal(without.ids, with_mask.ids)
    assert with_mask.mask is not None
    if without.mask is None:
        assert bool(with_mask.mask.all())
    else:
        assert torch.equal(without.mask, with_mask.mask)
    seen = with_mask.mask.bool()
    natural = torch.arange(without.ids.shape[1]).expand_as(without.ids)
    mine = natural if without.positions is None else without.positions
    assert with_mask.positions is not None
    assert mine[seen].tolist() == with_mask.positions[seen].tolist()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_reading_what_was_inserted(data: st.DataObject) -> None:
    """Ids that hold their virtual tokens are understood as those into which these were put."""
    bank = data.draw(banks())
    rows = data.draw(batches(bank))
    ids, mask = torch.tensor([row.ids for row in rows]), torch.tensor([row.mask for row in rows])
    index = [row.prompt for row in rows]
    put = insert(UserBatch(ids, mask), bank, index, 2)
    got = read_layout(UserBatch(put.ids, put.mask), bank, index, 2, V)
    assert put.mask is not None
    assert put.positions is not None
    assert got.positions is not None
    seen = put.mask.bool()
    assert got.positions[seen].tolist() == put.positions[seen].tolist()
    assert units(got, len(rows)) == units(put, len(rows))


def units(layout: object, rows: int) -> dict[int, tuple[int, list[int], list[bool]]]:
    found = {}
    for group in layout.groups:  # type: ignore[attr-defined]
        which = range(rows) if group.rows is None else group.rows.tolist()
        for unit, slots, text in zip(which, group.slots.tolist(), group.text.tolist(), strict=True):
            found[unit] = (group.prompt, slots, text)
    return found


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_packed_rows(data: st.DataObject) -> None:
    """Every document gets its own virtual tokens, positions and conditioning text."""
    count, placement = data.draw(st.integers(1, 3)), data.draw(st.sampled_from(["front", "after_bos"]))
    bank = [Slots(V, count, placement, True, data.draw(st.sampled_from([0, 2])))]
    tokens = data.draw(st.integers(2, 9))
    rows = []
    for _ in range(data.draw(st.integers(1, 3))):
        cuts = sorted(data.draw(st.sets(st.integers(1, tokens - 1), min_size=1)))
        rows.append([b - a for a, b in zip([0, *cuts], [*cuts, tokens], strict=True)])
    positions = torch.tensor([[p for length in row for p in range(length)] for row in rows])
    ids = torch.arange(1, tokens + 1).expand(len(rows), -1)
    layout = insert(UserBatch(ids, None, positions), bank, [0] * len(rows), 0)
    width = max(len(row) for row in rows) * count
    assert layout.packed
    assert layout.mask is None
    assert layout.positions is not None
    (group,) = layout.groups
    unit = 0
    for index, row in enumerate(rows):
        column, expected_ids, expected_positions = width - len(row) * count, [], []
        word = 1
        for length in row:
            at = 0 if placement == "front" else 1
            own = list(range(word, word + length))
            expected_ids += own[:at] + list(range(V, V + count)) + own[at:]
            expected_positions += list(range(length + count))
            span = range(column, column + length + count)
            slots = list(span)[at : at + count]
            assert group.rows is not None
            assert int(group.rows[unit]) == index
            assert group.slots[unit].tolist() == slots
            assert [c for c, t in enumerate(group.text[unit].tolist()) if t] == [c for c in span if c not in slots]
            unit, column, word = unit + 1, column + length + count, word + length
        filler = width - len(row) * count
        assert layout.ids[index].tolist() == [V + count] * filler + expected_ids
        assert layout.positions[index, filler:].tolist() == [p + bank[0].prefix for p in expected_positions]
    assert unit == len(group.slots)


BANK = [Slots(V, 2, "front", True, 0), Slots(V + 2, 3, "front", True, 0)]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([[50, 1, 2, 3]], "a part of its prompt"),
        ([[50, 50, 51, 3]], "a part of its prompt"),
        ([[50, 51, 1, 2], [3, 4, 5, 6]], "row 1 has no virtual tokens"),
    ],
)
def test_pieces_of_prompts_are_refused(ids: list[list[int]], message: str) -> None:
    with pytest.raises(SoftPromptError, match=message):
        read_layout(UserBatch(torch.tensor(ids)), BANK, [0] * len(ids), 0, V)


def test_virtual_tokens_may_stand_apart() -> None:
    layout = read_layout(UserBatch(torch.tensor([[50, 1, 51, 2], [7, 8, 50, 51]])), BANK, [0, 0], 0, V)
    assert units(layout, 2) == {
        0: (0, [0, 2], [False, True, False, True]),
        1: (0, [2, 3], [True, True, False, False]),
    }


def test_packed_rows_take_no_prompt_at_the_end() -> None:
    given = UserBatch(torch.ones(1, 4, dtype=torch.long), None, torch.tensor([[0, 1, 0, 1]]))
    with pytest.raises(SoftPromptError, match="packed rows"):
        insert(given, [Slots(V, 1, "end", True, 0)], [0])
