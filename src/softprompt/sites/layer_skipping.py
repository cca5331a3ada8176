"""The frozen states below the first layer that a prompt touches: recorded once, and given in the place of a pass.

What enters layer l depends on no trained value where the prompt leaves the layers below it alone, so a training that
goes over its rows time and again need compute it once a row. Our choice; no method's mathematics changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from softprompt.backbones.anatomy import Anatomy
from softprompt.sites.key_values import key_values
from softprompt.sites.layout import Layout


@dataclass
class RecordedStates:
    """The states that enter a layer, row by row; while they are recorded there are none yet.

    Attributes:
        layer: l, counted from 0.
        rows: of each row the states of its own columns, virtual tokens among them, `(T_i, H)`; None to record them.
        recorded: of each row those states, once they are recorded.
        passes: how many passes recorded since somebody set it to 0; the last one's states are there.
        plain: whether the layers give plain states rather than a tuple with more in it, as far as was seen.
    """

    layer: int
    rows: Sequence[Tensor] | None = None
    recorded: list[Tensor] = field(default_factory=list)
    passes: int = 0
    plain: bool = True

    def leaves_out(self, layer: int) -> bool:
        """Whether a layer hands on what it gets, for its work is done already."""
        return self.rows is not None and layer < self.layer

    def enter(self, states: Tensor, layout: Layout) -> Tensor:
        """The states `(B, T, H)` that enter the layer: recorded as they are, or the given ones; padding stays."""
        behind = states.shape[1] - layout.ids.shape[1]  # padding of the model's own (Longformer)
        seen = nn.functional.pad(layout.seen, (0, behind))
        if self.rows is None:
            self.passes += 1
            self.recorded = [row[mine] for row, mine in zip(states.detach(), seen, strict=True)]
            return states
        given = torch.cat(list(self.rows)).to(states)
        if layout.mask is None and not behind:
            return given.view_as(states)
        return states.detach().index_put(seen.nonzero(as_tuple=True), given)


def can_skip_layers(anatomy: Anatomy) -> bool:
    """Whether the layers of a family can be left out from below: each is a module of its own that hands on states."""
    plain = anatomy.decoder is None and anatomy.states == 3
    return plain and len(set(anatomy.layers)) == len(anatomy.layers)


def highest_start(anatomy: Anatomy, layer: int) -> int:
    """The highest layer, up to a given one, with which a pass may begin: none above it takes keys of one below.

    Gemma 4's last layers take the keys and values of layers in the middle, which therefore have to run.

    Args:
        anatomy: the parts of the backbone, in no call of which this is asked.
        layer: no state below it depends on what is trained.
    """
    if not layer or not can_skip_layers(anatomy):
        return 0
    sources = () if "attention" in anatomy.lacks else key_values(anatomy).sources
    for place in range(len(sources) - 1, -1, -1):
        if place >= layer:
            layer = min(layer, sources[place])
    return layer
