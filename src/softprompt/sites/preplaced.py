"""The layout of ids in which the virtual tokens stand already, because a template placed them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from softprompt.errors import SoftPromptError
from softprompt.sites.insertion import documents
from softprompt.sites.layout import Group, Layout, Slots, UserBatch


def read_layout(
    batch: UserBatch, prompts: Sequence[Slots], rows: Sequence[int], offset: int, vocab_size: int
) -> Layout:
    """The layout of ids that hold their virtual tokens already (a template placed them).

    Args:
        batch: the user's, virtual ids among its ids.
        prompts: the bank.
        rows: the prompt of each row.
        offset: the model's first position id.
        vocab_size: V, where the virtual ids begin.

    Raises:
        SoftPromptError: a row holds a part of its prompt only, or nothing of it, or an id that is of no prompt.
    """
    virtual = batch.ids >= vocab_size
    _check_known(batch.ids, virtual & batch.seen.bool(), prompts, vocab_size)
    holds = virtual.any(-1).tolist()
    bare = [row for row, index in enumerate(rows) if prompts[index].count and not holds[row]]
    if bare:
        raise SoftPromptError(
            f"row {bare[0]} has no virtual tokens, but other rows have: place them in every row or in none"
        )
    docs = documents(batch.positions, batch.mask)
    positions = _positions(batch, prompts, rows, offset)
    doc_of = torch.zeros_like(batch.ids) if docs is None else docs
    groups = _find(batch.ids, doc_of, ~virtual & batch.text, prompts)
    return Layout(batch.ids, batch.mask, positions, None, groups, docs is not None)


def _check_known(ids: Tensor, virtual: Tensor, prompts: Sequence[Slots], vocab_size: int) -> None:
    """See that every id behind the vocabulary that is seen (`virtual`) is some prompt's."""
    known = torch.zeros_like(virtual)
    for slots in prompts:
        known |= (ids >= slots.base) & (ids < slots.base + slots.count)
    lost = virtual & ~known
    if bool(lost.any()):
        raise SoftPromptError(
            f"id {int(ids[lost][0])} is neither one of the backbone's {vocab_size} words nor a virtual token of an "
            "attached prompt: encode the text with the backbone's own tokenizer"
        )


def _positions(batch: UserBatch, prompts: Sequence[Slots], rows: Sequence[int], offset: int) -> Tensor | None:
    """Position of every column `(B, N)`, or None where the model's own counting is right."""
    prefix = torch.tensor([prompts[row].prefix for row in rows], device=batch.ids.device)[:, None]
    if batch.positions is not None:
        return batch.positions + prefix
    if batch.mask is None and all(prompts[row].shift and not prompts[row].prefix for row in rows):
        return None
    counted = batch.seen
    for slots in prompts:
        if not slots.shift:
            counted = counted * ~((batch.ids >= slots.base) & (batch.ids < slots.base + slots.count))
    return (counted.cumsum(-1) - 1).clamp(min=0) + prefix + offset


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
