"""A prompt over layers with a gate at each: the super-network in which a search finds the layers that are worth it.

Before a layer l with the gate's value v, the slots become

    v M_l + (1 - v) P~_l,   M_l what the prompt makes for the layer, P~_l the slots as the layer below made them

and a layer's attention becomes v Attn([K_P; K]) + (1 - v) Attn(K). With v in {0, 1} both are exactly the prompt that
stands at the open layers alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from softprompt.methods.parts.gates import Gates
from softprompt.methods.parts.layers import OverLayers
from softprompt.sites.producer import Producer, View

_SEEN_BY_SITES = (
    "count",
    "prefix",
    "placement",
    "shift",
    "hidden_layers",
    "visible_to_decoder",
    "static",
)


class Gated(Producer):
    """A prompt and the gates of its layers.

    While training, the gates take the values of their form, times the `mask`; at rest those that `kept_layers` leaves.

    Attributes:
        inner: the prompt over all layers.
        gates: one a layer.
        limit: how many layers stay at rest; None for all whose gate is likelier open than shut.
        options: the method, whose options of the search count.
        mask: what the values are multiplied by, shape `(L,)`, or None.
    """

    def __init__(self, inner: Producer, gates: Gates, limit: int | None, options: OverLayers) -> None:
        super().__init__()
        self.inner, self.gates, self.limit, self.options = inner, gates, limit, options
        self.mask: Tensor | None = None
        for name in _SEEN_BY_SITES:
            setattr(self, name, getattr(inner, name))

    def values(self) -> Tensor:
        """The value v of each layer, shape `(L,)`."""
        values = self.gates.values(self.limit)
        return values if self.mask is None else values * self.mask

    def draw_masks(self) -> tuple[Tensor, Tensor]:
        """Two masks of the layers, each open with a chance of one half and never all shut, shape `(L,)`."""
        count, device = self.gates.logits.shape[0], self.gates.logits.device
        drawn = torch.rand(2, count)
        masks = (drawn < 0.5).float()
        # With all shut, the layer that came nearest opens.
        masks[~masks.any(-1)] = torch.nn.functional.one_hot(drawn.argmin(-1), count).float()[~masks.any(-1)]
        first, second = masks.to(device)
        return first, second

    def embed(self, view: View) -> Tensor | None:
        """As the prompt's own."""
        return self.inner.embed(view)

    def rewrite(self, layer: int, view: View) -> Tensor:
        """The slots v M_l + (1 - v) P~_l, shape `(U, P, H)`."""
        value = self.values()[layer]
        return value * self.inner.rewrite(layer, view) + (1 - value) * view.at_slots

    def keys_values(self) -> list[tuple[Tensor, Tensor]]:
        """As the prompt's own."""
        return self.inner.keys_values()

    def prefix_values(self) -> Tensor | None:
        """The value v of each layer, shape `(L,)`."""
        return self.values()

    def penalty(self) -> Tensor | None:
        """As the prompt's own."""
        return self.inner.penalty()

    def rates(self) -> dict[str, float]:
        """As the prompt's own."""
        return {f"inner.{name}": rate for name, rate in self.inner.rates().items()}
