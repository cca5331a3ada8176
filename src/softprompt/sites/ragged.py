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

    Attributes:
        lengths: of the rows, `(R,)`.
        first: the column at which the first one begins.
        width: columns of all rows.
        seen: which of `(R, W)` are columns, bool.
    """

    def __init__(self, lengths: Tensor, first: int) -> None:
        """See the class."""
        self.lengths, self.first = lengths, first
        self.width, longest = int(lengths.sum()), int(lengths.max())
        self.seen = torch.arange(longest, device=lengths.device) < lengths[:, None]
        self._places = None if self.width == self.seen.numel() else self.seen.view(-1).nonzero()[:, 0]

    @property
    def begins(self) -> Tensor:
        """The column at which each row begins, `(R,)`."""
        return self.first + self.lengths.cumsum(0) - self.lengths

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
