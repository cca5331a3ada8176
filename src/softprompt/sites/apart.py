"""Rows of several lengths where padding would move them (see `padding`): rows of one length run together, without it.

The batch is laid out as ever, virtual tokens and all. Then each run of the body takes the rows of one length at their
own columns, and its outputs are put back at these, so that heads, losses and decoders see the batch that they expect.
At padding stands what the row's first column gave: a head that reads column 0 of a row padded on its left finds that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from softprompt.backbones.compat import assert_async, cache_in
from softprompt.errors import SoftPromptError
from softprompt.sites.arguments import is_of_images
from softprompt.sites.asking import opened
from softprompt.sites.forward_call import Call
from softprompt.sites.joining import Join
from softprompt.sites.layout import Group, Layout
from softprompt.sites.padding import Side


@dataclass(frozen=True)
class Part:
    """Rows that run together.

    Attributes:
        rows: which of the batch's, `(b,)`.
        columns: their own columns in the batch's layout, ascending, `(b, t)`.
        places: for each column of the layout its place among `columns`, `(b, T)`; 0 at padding.
        own: which columns are no padding, bool, `(b, T)`.
        keep: for each of the user's own columns its place among `columns`, `(b, n)`.
        kept: for each of the user's columns its place among `keep`, `(b, N)`; 0 at padding.
    """

    rows: Tensor
    columns: Tensor
    places: Tensor
    own: Tensor
    keep: Tensor
    kept: Tensor


def pads(mask: Tensor | None, moving: frozenset[Side]) -> bool:
    """Whether a batch has padding on a side on which it would move rows.

    Args:
        mask: shape `(B, T)`, or None where all is seen.
        moving: the sides.
    """
    if mask is None or not moving:
        return False
    if torch.compiler.is_compiling():
        assert_async(mask.bool().all(), "a compiled model in whose layers padding moves the text takes rows without it")
        return False
    seen = mask.bool()
    before, after = seen.cumsum(-1) == 0, seen.flip(-1).cumsum(-1).flip(-1) == 0
    beside = {"left": ~seen & ~after, "right": ~seen & ~before}
    return any(bool(beside[side].any()) for side in moving)


def run_apart(
    call: Call, layout: Layout, changed: dict[str, object], user: object, run: Callable[[Call, dict[str, object]], Any]
) -> Any:
    """The output of a body whose rows of one length run together, as of the whole batch.

    Args:
        call: the open call.
        layout: the batch's, whose mask shows padding.
        changed: the body's arguments for the whole batch.
        user: the mask of the user's columns, `(B, N)`, if any.
        run: runs the body in a call of some of the rows: (that call, which is open, its arguments) to its output.

    Raises:
        SoftPromptError: a cache shall hold the rows, or there are images among them.
    """
    if cache_in(changed) is not None:
        raise SoftPromptError(
            "padding would move the text of this backbone, so that rows run apart by their lengths, and one cache "
            "cannot hold them: give rows of one length, or leave past_key_values out"
        )
    if any(isinstance(one, Tensor) and is_of_images(name) for name, one in changed.items() if name != "inputs_embeds"):
        raise SoftPromptError(
            "padding would move the text of this backbone, so that rows run apart by their lengths, and whose images "
            "are whose is not known: give rows of one length"
        )
    assert layout.mask is not None
    fronts = [call.footprints[row].prefix for row in call.rows_of(layout.ids.shape[0])]
    parts, outputs = _parts(layout, user if isinstance(user, Tensor) else None, fronts), []
    for part in parts:
        given = {name: _of_part(value, part, layout) for name, value in changed.items()}
        given["attention_mask"] = layout.mask.new_ones(part.columns.shape)
        own = _call_of(call, layout, part)
        with opened(own):
            outputs.append(run(own, given))
    return _merged(outputs, parts, torch.cat([part.rows for part in parts]).argsort())


def _parts(layout: Layout, user: Tensor | None, fronts: Sequence[int]) -> list[Part]:
    """The rows of each length, those of as many virtual tokens, and keys and values in front, together."""
    assert layout.mask is not None
    seen, keep = _never_empty(layout.mask.bool()), layout.keep
    if keep is None:  # the user's columns are those that run
        keep, user = torch.arange(seen.shape[1], device=seen.device).expand_as(seen), seen
    user = torch.ones_like(keep, dtype=torch.bool) if user is None else _never_empty(user.bool())
    by_length: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for row, sizes in enumerate(zip(seen.sum(-1).tolist(), user.sum(-1).tolist(), fronts, strict=True)):
        by_length[sizes].append(row)
    found = []
    for (length, own, _), members in by_length.items():
        rows = torch.tensor(members, device=seen.device)
        mine, theirs = seen[rows], user[rows]
        places = _places(mine)
        mine_of_user = keep[rows].gather(1, _columns(theirs, own))
        found.append(Part(rows, _columns(mine, length), places, mine, places.gather(1, mine_of_user), _places(theirs)))
    return found


def _never_empty(seen: Tensor) -> Tensor:
    """Which columns are seen, the first of a row that is all padding among them."""
    first = torch.arange(seen.shape[1], device=seen.device) == 0
    return seen | (first & ~seen.any(-1, keepdim=True))


def _columns(seen: Tensor, count: int) -> Tensor:
    """The columns that are seen, ascending, `(b, count)`."""
    return (~seen).long().argsort(dim=-1, stable=True)[:, :count]


def _places(seen: Tensor) -> Tensor:
    """For each column its place among those that are seen, 0 at the others."""
    return torch.where(seen, seen.long().cumsum(-1) - 1, 0)


def _of_part(value: Any, part: Part, layout: Layout) -> Any:
    """What a batch has for its rows or columns, or for these on several axes, for the rows of a part."""
    batch, width = layout.ids.shape
    if not isinstance(value, Tensor) or batch not in value.shape[:2]:
        return value
    if value.ndim == 3 and value.shape[1:] == (batch, width) and not value.is_floating_point():
        return value[:, part.rows].gather(2, part.columns.expand(value.shape[0], -1, -1))
    if value.shape[0] != batch:
        return value
    own = value[part.rows]
    return own if value.ndim < 2 or value.shape[1] != width else _gather(own, part.columns, 1)


def _gather(values: Tensor, columns: Tensor, dim: int) -> Tensor:
    """Values at columns `(b, n)` of an axis."""
    index = columns.view(columns.shape[0], *[1] * (dim - 1), columns.shape[1], *[1] * (values.ndim - dim - 1))
    shape = list(values.shape)
    shape[dim] = columns.shape[1]
    return values.gather(dim, index.expand(shape))


def _call_of(call: Call, layout: Layout, part: Part) -> Call:
    """The call of a part's rows, whose layout has no padding."""
    every = call.rows_of(layout.ids.shape[0])
    rows = tuple(every[row] for row in part.rows.tolist())
    groups = tuple(found for one in layout.groups if (found := _group_of(one, part)) is not None)
    own = Layout(
        ids=layout.ids[part.rows].gather(1, part.columns),
        mask=None,
        positions=_of_part(layout.positions, part, layout),
        keep=None if layout.keep is None else part.keep,
        groups=groups,
        packed=False,
    )
    made = replace(
        call, rows=rows, layout=own, select=None, join=Join(call.producers, rows, call.join), calls={}, resolved=False
    )
    made.positions, made.moved = (_of_part(one, part, layout) for one in (call.positions, call.moved))
    return made


def _group_of(group: Group, part: Part) -> Group | None:
    """The units of a group that stand in a part's rows."""
    place = {row: place for place, row in enumerate(part.rows.tolist())}
    of_units = list(range(len(group.slots))) if group.rows is None else group.rows.tolist()
    units = [unit for unit, row in enumerate(of_units) if row in place]
    if not units:
        return None
    if group.rows is None:
        units = part.rows.tolist()
    rows = torch.tensor([place[of_units[unit]] for unit in units], device=group.slots.device)
    return Group(
        group.prompt,
        None if group.rows is None else rows,
        part.places[rows].gather(1, group.slots[units]),
        group.text[units].gather(1, part.columns[rows]),
    )


def _merged(outputs: Sequence[Any], parts: Sequence[Part], order: Tensor) -> Any:
    """Outputs of the parts as one of the whole batch."""
    first = outputs[0]
    if isinstance(first, MutableMapping):
        return type(first)(**{name: _merged([one.get(name) for one in outputs], parts, order) for name in first})
    if isinstance(first, tuple | list):
        return type(first)(_merged(each, parts, order) for each in zip(*outputs, strict=True))
    if any(not isinstance(one, Tensor) or not one.ndim for one in outputs):
        return None  # a cache, which cannot hold rows of several lengths
    whole = torch.cat([_widened(one, part) for one, part in zip(outputs, parts, strict=True)])
    return whole[order] if len(whole) == len(order) else whole


def _widened(values: Tensor, part: Part) -> Tensor:
    """States `(b, t, H)` or maps `(b, heads, t, t)` of a part with the batch's columns; others are as they are."""
    if values.ndim == 3 and values.shape[1] in (part.columns.shape[1], part.keep.shape[1]):
        return _gather(values, part.places if values.shape[1] == part.columns.shape[1] else part.kept, 1)
    if values.ndim < 4 or values.shape[2] != part.columns.shape[1]:
        return values
    rows = _gather(values, part.places, 2)
    if values.shape[3] != part.columns.shape[1]:
        return rows
    return _gather(rows, part.places, 3) * (part.own[:, None, :, None] & part.own[:, None, None])
