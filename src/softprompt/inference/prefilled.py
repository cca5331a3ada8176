"""Encoded rows with the states that enter the first layer that a prompt touches, from which their passes begin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor

from softprompt.attached.calling import Calling
from softprompt.readouts import Item


@dataclass(frozen=True)
class PrefilledItem(Item):
    """An encoded row of one sequence with the states that enter the first layer that the prompt touches, `(T, H)`."""

    states_below: Tensor

    @classmethod
    def of(cls, item: Item, states_below: Tensor) -> PrefilledItem:
        """An encoded row with its states."""
        told = {"answer_cut": item.answer_cut, "ended": item.ended, "outside": item.outside}
        return cls(item.texts, item.targets, item.label, item.row, states_below, **told)


@contextmanager
def beginning_above(prompted: Calling, items: Sequence[Item]) -> Iterator[None]:
    """Let the call of a batch begin at the first layer that the prompt touches, where each of its rows is prefilled.

    Args:
        prompted: the attached model.
        items: the rows of the batch.
    """
    kept = [item.states_below for item in items if isinstance(item, PrefilledItem)]
    if len(kept) != len(items):
        yield
        return
    with prompted.starting_at_layer(kept):
        yield
