"""Positions of the columns that run, and of several axes: models of text and images count time, height and width.

A text token has the same position on each axis, and the token behind an image that of the image's furthest edge and
one: so virtual tokens count as text does, and whatever stands behind them moves by P on every axis. Where a wrapper
works positions out by itself it does so for the whole sequence, virtual tokens in it, and is asked for nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from softprompt.errors import SoftPromptError
from softprompt.sites.layout import Slots


def of_rows(given: Tensor | None, rows: int, mask: Tensor | None) -> Tensor | None:
    """Positions as a user gives them, of every row: `(B, N)`, or `(A, B, N)` of A axes.

    Raises:
        SoftPromptError: packed documents with positions of several axes.
    """
    if given is None or given.ndim < 3:
        return None if given is None else given.expand(rows, -1)
    if mask is None and not torch.compiler.is_compiling() and bool((given[..., 1:] == 0).all(0).any()):
        raise SoftPromptError("position_ids of several axes restart in a row: give it one document a row")
    return given.expand(-1, rows, -1)


def prefix_of(chosen: Sequence[Slots], device: torch.device) -> Tensor | None:
    """How many positions each row's keys and values take in front of it, `(B, 1)`; None where no row has any."""
    taken = [slots.prefix for slots in chosen]
    return torch.tensor(taken, device=device)[:, None] if any(taken) else None


def step_positions(
    ids: Tensor,
    given: Tensor | None,
    mask: Tensor | None,
    chosen: Sequence[Slots],
    own: bool,
    seen: int,
    offset: int,
) -> Tensor | None:
    """Positions of the new columns behind `seen` old ones; None where the model's own counting is right.

    Args:
        ids: the new columns, `(B, N)`.
        given: the user's positions, `(B, N)` or `(A, B, N)`, or None.
        mask: over old and new columns, virtual tokens among them, or None.
        chosen: the prompt of each row.
        own: whether the user's positions leave the virtual tokens out.
        seen: the columns of the cache.
        offset: the model's first position id.
    """
    prefix = torch.tensor([slots.prefix for slots in chosen], device=ids.device)[:, None]
    if given is not None:
        moved = torch.tensor([slots.count * slots.shift for slots in chosen], device=ids.device)[:, None]
        return given + prefix + (moved if own else 0)
    if mask is not None:
        return (mask.long().cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :] + prefix + offset
    if any(slots.prefix for slots in chosen):
        return torch.arange(ids.shape[1], device=ids.device)[None, :] + seen + prefix + offset
    return None
