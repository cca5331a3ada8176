"""A prompt that stands around another, as a look into it or a search does: what it does not change is the other's."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from softprompt.sites.footprint import Footprint
from softprompt.sites.producer import Producer, StandIn, View


class WrappedProducer(Producer):
    """Does at every site what another prompt does there; sub-classes change what they are for.

    Attributes:
        inner: the other prompt.
    """

    def __init__(self, inner: Producer) -> None:
        """Around a prompt."""
        super().__init__()
        self.inner = inner

    @property
    def footprint(self) -> Footprint:
        """The prompt's own."""
        return self.inner.footprint

    def embed(self, view: View) -> Tensor | None:
        """As the prompt's own, `(P, E)` or `(U, P, E)`."""
        return self.inner.embed(view)

    def shift_text(self, view: View) -> Tensor | None:
        """As the prompt's own, `(U, T, E)`."""
        return self.inner.shift_text(view)

    def rewrite(self, layer: int, view: View) -> Tensor:
        """As the prompt's own, `(P, H)` or `(U, P, H)`."""
        return self.inner.rewrite(layer, view)

    def keys_values(self) -> list[tuple[Tensor, Tensor]]:
        """As the prompt's own, each `(K, P, D)`."""
        return self.inner.keys_values()

    def prefix_values(self) -> Tensor | None:
        """As the prompt's own, `(L,)`."""
        return self.inner.prefix_values()

    def decoder_keys_values(self) -> list[tuple[Tensor, Tensor]]:
        """As the prompt's own, each `(K, P, D)`."""
        return self.inner.decoder_keys_values()

    def cross_keys_values(self) -> list[tuple[Tensor, Tensor]]:
        """As the prompt's own, each `(K, P, D)`."""
        return self.inner.cross_keys_values()

    def stand_ins(self, model: nn.Module) -> Mapping[nn.Module, StandIn]:
        """As the prompt's own."""
        return self.inner.stand_ins(model)


def changes_weights(producer: Producer) -> bool:
    """Whether a prompt has anything stand in for the model's own modules or weights."""
    while isinstance(producer, WrappedProducer):
        producer = producer.inner
    return type(producer).stand_ins is not Producer.stand_ins
