"""Site `hidden`: the states at the virtual tokens are rewritten before a layer.

The text's states are never written. Layers that a prompt leaves out see the slots as the layer below made them.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from softprompt.sites.footprint import Footprint
from softprompt.sites.layout import Group
from softprompt.sites.producer import Producer, view_of, write_vectors


def rewrite(
    states: Tensor,
    layer: int,
    groups: Sequence[Group],
    prompts: Sequence[Producer],
    footprints: Sequence[Footprint],
) -> Tensor:
    """The states `(B, T, H)` that enter `layer`, with each prompt's slots rewritten, out of place."""
    asked = [group for group in groups if layer in footprints[group.prompt].hidden_layers]
    return write_vectors(states, [(one, prompts[one.prompt].rewrite(layer, view_of(states, one))) for one in asked])
