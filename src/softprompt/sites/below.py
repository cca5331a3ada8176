"""The frozen states below the first layer that a prompt touches: recorded once, and given in the place of a pass.

What enters layer l depends on no trained value where the prompt leaves the layers below it alone, so a training that
goes over its rows time and again need compute it once a row. Our choice; no method's mathematics changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from softprompt.sites.anatomy import Anatomy
from softprompt.sites.layout import Layout


@dataclass
class Below:
    """The states that enter a layer, row by row; while they are recorded there are none yet.

    Attributes:
        layer: l, counted from 0.
        rows: of each row the states of its own columns, virtual tokens among them, `(T_i, H)`; None to record them.
        recorded: of each row those states, once they are recorded.
    """

    layer: int
    rows: Sequence[Tensor] | None = None
    recorded: list[Tensor] = field(default_factory=list)

    def enter(self, states: Tensor, layout: Layout) -> Tensor:
        """The states `(B, T, H)` that enter the layer: recorded as they are, or the given ones; padding stays."""
        if self.rows is None:
            own = list(states.detach())
            seen = None if layout.mask is None else layout.mask.bool()
            self.recorded = own if seen is None else [row[mine] for row, mine in zip(own, seen, strict=True)]
            return states
        given = torch.cat(list(self.rows)).to(states)
        if layout.mask is None:
            return given.view_as(states)
        return states.detach().index_put(layout.mask.bool().nonzero(as_tuple=True), given)


def can_begin(anatomy: Anatomy) -> bool:
    """Whether the layers of a family can be left out from below: each is a module of its own that hands on states."""
    return anatomy.decoder is None and len(set(anatomy.layers)) == len(anatomy.layers)


@contextmanager
def left_out(layers: Sequence[nn.Module]) -> Iterator[None]:
    """Let layers hand on what they get while the block runs."""
    own = [vars(layer).get("forward") for layer in layers]  # other libraries put one of theirs there, too
    for layer in layers:
        layer.forward = _hand_on
    try:
        yield
    finally:
        for layer, forward in zip(layers, own, strict=True):
            if forward is None:
                del layer.forward
            else:
                layer.forward = forward


def _hand_on(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return hidden_states


@contextmanager
def giving_states(layer: nn.Module) -> Iterator[Callable[[], bool]]:
    """Tell after the block whether a layer gave plain states rather than a tuple with more in it."""
    found: list[bool] = []
    handle = layer.register_forward_hook(lambda module, args, output: found.append(isinstance(output, Tensor)))
    try:
        yield lambda: all(found)
    finally:
        handle.remove()
