"""Rows of several lengths that lie one after the other in one row, without padding: apart, and together again.

Letters: T columns of the one row, R rows, W columns of the longest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor


class Ragged:
    """Where the rows lie.

    Args:
        lengths: of the rows in the order in which they lie, `(R,)`.
        first: the column at which the first one begins.
        order: of the rows in the order in which they are given out where each lies, `(R,)`; None where that is one.

    Attributes:
        lengths: of the rows as they are given out, `(R,)`.
        first: as above.
        begins: the column at which each of them begins, `(R,)`.
        width: columns of all rows.
        seen: which of `(R, W)` are columns, bool.
    """

    def __init__(self, lengths: Tensor, first: int, order: Tensor | None = None) -> None:
        """See the class."""
        begins = first + lengths.cumsum(0) - lengths
        self.lengths, self.begins = (lengths, begins) if order is None else (lengths[order], begins[order])
        self.first, self.width, longest = first, int(lengths.sum()), int(lengths.max())
        columns = torch.arange(longest, device=lengths.device)
        self.seen = columns < self.lengths[:, None]
        self._places = None
        if order is not None:
            given = order.argsort()[:, None] * longest + columns  # [R, W] where what lies is given out
            self._places = given[columns < lengths[:, None]]
        elif self.width != self.seen.numel():
            self._places = self.seen.view(-1).nonzero()[:, 0]

    def apart(self, columns: Tensor) -> Tensor:
        """The rows `(R, W, ...)` of the one row's columns `(T, ...)`, zero at filler."""
        own = columns[self.first : self.first + self.width]
        if self._places is not None:
            own = own.new_zeros(self.seen.numel(), *own.shape[1:]).index_copy(0, self._places, own)
        return own.reshape(*self.seen.shape, *own.shape[1:])

    def together(self, rows: Tensor) -> Tensor:
        """The columns `(width, ...)` of rows `(R, W, ...)`."""
        flat = rows.reshape(-1, *rows.shape[2:])
        return flat if self._places is None else taken(flat, self._places)


class _Context(Protocol):
    """What autograd keeps from one pass to the other."""

    shape: torch.Size
    saved_tensors: tuple[Tensor]

    def save_for_backward(self, *tensors: Tensor) -> None:
        """Keep tensors."""


class _Taken(torch.autograd.Function):
    @staticmethod
    def forward(states: Tensor, places: Tensor) -> Tensor:
        return states.index_select(0, places)

    @staticmethod
    def setup_context(ctx: _Context, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        states, places = inputs
        ctx.shape = states.shape
        ctx.save_for_backward(places)

    @staticmethod
    def backward(ctx: _Context, gradient: Tensor) -> tuple[Tensor, None]:
        (places,) = ctx.saved_tensors
        return gradient.new_zeros(ctx.shape).index_copy(0, places, gradient), None


# Rows of states at places of which none stands twice, so that the backward pass need add nothing up.
taken: Callable[[Tensor, Tensor], Tensor] = _Taken.apply
