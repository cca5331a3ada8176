"""One loop over batches for whoever runs encoded rows through a backbone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import index
from typing import Protocol, SupportsIndex, TypeAlias, TypeVar

import torch
from torch import nn

from softprompt.backbones.resting import device_of
from softprompt.errors import SoftPromptError, quoted
from softprompt.readouts.base import Batch

Tick: TypeAlias = Callable[[int], None]


class OnBackbone(Protocol):
    """What runs on a backbone: an attached model, or a backbone that trains itself."""

    @property
    def backbone(self) -> nn.Module:
        """On whose device the batches are wanted."""


class HasLength(Protocol):
    """An encoded row."""

    @property
    def length(self) -> int:
        """Columns of its longest sequence."""


_R = TypeVar("_R", bound=HasLength)


def batches(
    items: Sequence[_R],
    collate: Callable[[list[_R]], Batch],
    size: int,
    on: OnBackbone,
    tick: Tick | None = None,
    *,
    in_order: bool = False,
) -> Iterator[tuple[list[int], Batch]]:
    """Encoded rows in batches on the backbone's device.

    The longest rows come first, so memory runs out at once or never, and rows of like lengths meet.

    Args:
        items: the rows.
        collate: makes a batch of some of them.
        size: rows a batch.
        on: gives the device.
        tick: called with a batch's number of rows once it is done with.
        in_order: take the rows as they stand, where a sum over batches depends on who meets whom.

    Yields:
        The places of a batch's rows among the items, and the batch.

    Raises:
        SoftPromptError: `size` is no number of rows.
    """
    size = rows_a_batch(size)
    order = list(range(len(items)))
    if not in_order:
        order.sort(key=lambda place: -items[place].length)
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        yield chosen, to_device(collate([items[place] for place in chosen]), on)
        if tick is not None:
            tick(len(chosen))


def rows_a_batch(size: object) -> int:
    """A number of rows, be it numpy's own whole number.

    Raises:
        SoftPromptError: it is none.
    """
    found = index(size) if isinstance(size, SupportsIndex) else 0
    if found < 1:
        raise SoftPromptError(f"batch_size is {quoted(size, 80)}: give a whole number of at least 1")
    return found


def to_device(batch: Batch, on: OnBackbone) -> Batch:
    """A batch on the backbone's device."""
    device = device_of(on.backbone)

    def move(value: object) -> object:
        if isinstance(value, torch.Tensor):
            return value.to(device)
        return {name: move(one) for name, one in value.items()} if isinstance(value, dict) else value

    return {name: move(value) for name, value in batch.items()}
