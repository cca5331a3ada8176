"""The layout of ids in which the virtual tokens stand already, because a template placed them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from softprompt.errors import SoftPromptError
from softprompt.sites.insertion import documents
from softprompt.sites.layout import Group, Layout, Slots


def read_layout(
    ids: Tensor,
    mask: Tensor | None,
    position_ids: Tensor | None,
    conditioning: Tensor | None,
    prompts: Sequence[Slots],
    rows: Sequence[int],
    offset: int,
    vocab_size: int,
) -> Layout:
    """The layout of ids that hold their virtual tokens already (a template placed them).

    Raises:
        SoftPromptError: a row holds a part of its prompt only, or nothing of it.
    """
    virtual = ids >= vocab_size
    holds = virtual.any(-1).tolist()
    bare = [row for row, index in enumerate(rows) if prompts[index].count and not holds[row]]
    if bare:
        raise SoftPromptError(
            f"row {bare[0]} has no virtual tokens, but other rows have: place them in every row or in none"
        )
    text = ~virtual if mask is None else ~virtual & mask.bool()
    if conditioning is not None:
        text = text & conditioning.bool()
    docs = documents(position_ids, mask)
    positions = position_ids
    if positions is None and (mask is not None or any(not prompts[row].shift or prompts[row].prefix for row in rows)):
        counted = torch.ones_like(ids) if mask is None else mask.long()
        still = [s for s in prompts if not s.shift]
        for slots in still:
            counted = counted * ~((ids >= slots.base) & (ids < slots.base + slots.count))
        positions = (counted.cumsum(-1) - 1).clamp(min=0)
    if positions is not None:
        positions = positions + _prefixes(prompts, rows, ids.device) + (offset if position_ids is None else 0)
    doc_of = torch.zeros_like(ids) if docs is None else docs
    return Layout(ids, mask, positions, None, _find(ids, doc_of, text, prompts), docs is not None)


def _find(ids: Tensor, docs: Tensor, text: Tensor, prompts: Sequence[Slots]) -> tuple[Group, ...]:
    """Group the virtual tokens that stand in ids, unit by unit.

    Raises:
        SoftPromptError: a row holds a part of a prompt only.
    """
    groups = []
    for index, slots in enumerate(prompts):
        inside = (ids >= slots.base) & (ids < slots.base + slots.count)
        rows, columns = inside.nonzero(as_tuple=True)
        if not len(rows):
            continue
        rank = ids[rows, columns] - slots.base
        order = (_occurrence(rows * slots.count + rank) * ids.shape[0] + rows) * slots.count + rank
        by_unit = order.argsort()
        if len(rows) % slots.count or bool((rank[by_unit].view(-1, slots.count) != _ranks(slots, ids.device)).any()):
            raise SoftPromptError(
                f"a row holds a part of its prompt only: each row or packed document needs all {slots.count} "
                "virtual tokens, once"
            )
        slot_columns = columns[by_unit].view(-1, slots.count)
        unit_rows = rows[by_unit].view(-1, slots.count)[:, 0]
        same = docs[unit_rows] == docs[unit_rows, slot_columns[:, 0]][:, None]
        groups.append(Group(index, unit_rows, slot_columns, text[unit_rows] & same))
    return tuple(groups)


def _ranks(slots: Slots, device: torch.device) -> Tensor:
    return torch.arange(slots.count, device=device)


def _occurrence(keys: Tensor) -> Tensor:
    """How many equal keys stand before each key: shape `(K,)`."""
    order = keys.argsort(stable=True)
    _, sizes = keys[order].unique_consecutive(return_counts=True)
    nth = torch.empty_like(order)
    nth[order] = torch.cat([torch.arange(int(n), device=keys.device) for n in sizes])
    return nth


def _prefixes(prompts: Sequence[Slots], rows: Sequence[int], device: torch.device) -> Tensor:
    return torch.tensor([prompts[row].prefix for row in rows], device=device)[:, None]
