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
from softprompt.sites.producer import Producer, View
from softprompt.sites.wrapped import WrappedProducer, changes_weights


class Gated(WrappedProducer):
    """A prompt and the gates of its layers.

    While training, the gates take the values of their form, or `given` ones; at rest those that `kept_layers` leaves.

    Attributes:
        inner: the prompt over all layers.
        gates: one a layer.
        limit: how many layers stay at rest; None for all whose gate is likelier open than shut.
        options: the method, whose options of the search count.
        given: the values in the gates' place, shape `(L,)`, or None.
    """

    def __init__(self, inner: Producer, gates: Gates, limit: int | None, options: OverLayers) -> None:
        """See the class.

        Raises:
            SoftPromptError: the prompt does something at its layers that no gate could close.
        """
        super().__init__(inner)
        why = why_ungated(inner)
        if why is not None:
            raise SoftPromptError(
                f"method {options.name!r} is searched with a gate a layer, but {why}: name the layers in select"
            )
        self.gates, self.limit, self.options = gates, limit, options
        self.given: Tensor | None = None

    def values(self) -> Tensor:
        """The value v of each layer, shape `(L,)`."""
        return self.gates.values(self.limit) if self.given is None else self.given

    def draw_pair(self) -> tuple[Tensor, Tensor]:
        """Two values of every layer whose outputs are to agree, shape `(L,)`; see `ConsistencyPair`."""
        if self.options.consistency_pair == "network":
            values = self.gates.values(self.limit)
            return values, values * draw_mask(values.detach() != 0)
        everywhere = torch.ones_like(self.gates.logits, dtype=torch.bool)
        return draw_mask(everywhere), draw_mask(everywhere)

    def rewrite(self, layer: int, view: View) -> Tensor:
        """The slots v M_l + (1 - v) P~_l, shape `(U, P, H)`."""
        value = self.values()[layer]
        return value * self.inner.rewrite(layer, view) + (1 - value) * view.at_slots

    def prefix_values(self) -> Tensor | None:
        """The value v of each layer, shape `(L,)`."""
        return self.values()

    def penalty(self) -> Tensor | None:
        """As the prompt's own."""
        return self.inner.penalty()

    def rates(self) -> dict[str, float]:
        """As the prompt's own."""
        return {f"inner.{name}": rate for name, rate in self.inner.rates().items()}


def draw_mask(among: Tensor) -> Tensor:
    """A mask that leaves each of some layers open with a chance of one half, 0 or 1, shape `(L,)`, fp32.

    Of several it leaves one open at least and shuts one at least, so that what is left is another network; a layer that
    is alone stays open.

    Args:
        among: which layers those are, true or false, shape `(L,)`.
    """
    drawn = torch.rand(among.shape).to(among.device)
    mask = (drawn < 0.5) & among
    count = int(among.sum())
    if count and not mask.any():
        mask[drawn.where(among, torch.inf).argmin()] = True
    elif count > 1 and torch.equal(mask, among):
        mask[drawn.where(among, -torch.inf).argmax()] = False
    return mask.float()


def why_ungated(inner: Producer) -> str | None:
    """What a prompt does that its gates could not close, in a clause; None where they close all of it."""
    own = inner.footprint
    if own.decoder_prefix or own.cross_prefix:
        return "its keys and values stand in a decoder too, whose layers have no gates"
    if changes_weights(inner):
        return "it changes weights, which have no gates"
    if type(inner).prefix_values is not Producer.prefix_values:
        return "its prompt weighs its layers itself"
    if not own.hidden_layers and not own.prefix:
        return "its prompt stands at no layer"
    return None
