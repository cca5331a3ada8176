"""A prompt over layers with a gate at each: the super-network in which a search finds the layers that are worth it.

Before a layer l with the gate's value v, the slots become

    v M_l + (1 - v) P~_l,   M_l what the prompt makes for the layer, P~_l the slots as the layer below made them

and a layer's attention becomes v Attn([K_P; K]) + (1 - v) Attn(K). With v in {0, 1} both are exactly the prompt that
stands at the open layers alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from softprompt.errors import SoftPromptError
from softprompt.methods.parts.gates import Gates
from softprompt.methods.parts.layers import OverLayers
from softprompt.sites.footprint import Footprint
from softprompt.sites.producer import Producer, View


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
        """See the class.

        Raises:
            SoftPromptError: the prompt does something at its layers that no gate could close.
        """
        super().__init__()
        why = why_ungated(inner)
        if why is not None:
            raise SoftPromptError(
                f"method {options.name!r} is searched with a gate a layer, but {why}: name the layers in select"
            )
        self.inner, self.gates, self.limit, self.options = inner, gates, limit, options
        self.mask: Tensor | None = None

    @property
    def footprint(self) -> Footprint:
        """The prompt's own."""
        return self.inner.footprint

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

    def shift_text(self, view: View) -> Tensor | None:
        """As the prompt's own."""
        return self.inner.shift_text(view)

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


def why_ungated(inner: Producer) -> str | None:
    """What a prompt does that its gates could not close, in a clause; None where they close all of it."""
    own = inner.footprint
    if own.decoder_prefix or own.cross_prefix:
        return "its keys and values stand in a decoder too, whose layers have no gates"
    if type(inner).stand_ins is not Producer.stand_ins:
        return "it changes weights, which have no gates"
    if type(inner).prefix_values is not Producer.prefix_values:
        return "its prompt weighs its layers itself"
    if not own.hidden_layers and not own.prefix:
        return "its prompt stands at no layer"
    return None
