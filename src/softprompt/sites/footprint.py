"""What a prompt occupies: one value, which the sites read and whoever wraps a prompt hands on."""

from __future__ import annotations

from dataclasses import dataclass, fields

from softprompt.sites.layout import Placement


@dataclass(frozen=True)
class Footprint:
    """The places of one prompt.

    Attributes:
        count: P, the virtual tokens that stand in the sequence (0 where the method works elsewhere).
        placement: where they stand when the text does not say.
        prefix: keys and values in front of every self-attention of the body (0 at the other sites).
        decoder_prefix: the same in an encoder-decoder's decoder.
        cross_prefix: keys and values in front of every cross-attention of an encoder-decoder's decoder.
        shift: whether virtual tokens take positions on encoders with absolute positions, and `prefix` on any encoder.
        hidden_layers: the layers (0..L-1) before which the virtual tokens' states are rewritten.
        first_layer: no state below this layer depends on what is trained.
        visible_to_decoder: whether an encoder-decoder's decoder attends to the virtual tokens' outputs.
        static: whether no vector depends on the row's text; causal models then compute the virtual tokens once a batch.
        around: how many virtual tokens stand before the text, before the answer, after it and at the end of a task's
            template that has no places for them; () leaves them to `placement`.
        pool: templates whose own words the virtual tokens stand for, member after member, each with the ids of its
            words; a row is then asked once a member. () takes the task's template.
    """

    count: int = 0
    placement: Placement = "front"
    prefix: int = 0
    decoder_prefix: int = 0
    cross_prefix: int = 0
    shift: bool = True
    hidden_layers: frozenset[int] = frozenset()
    first_layer: int = 0
    visible_to_decoder: bool = True
    static: bool = False
    around: tuple[int, ...] = ()
    pool: tuple[tuple[str, tuple[int, ...]], ...] = ()

    @property
    def joins(self) -> bool:
        """Whether there are keys and values at any place of the site `attention`."""
        return bool(self.prefix or self.decoder_prefix or self.cross_prefix)

    @property
    def stands_before_all(self) -> bool:
        """Whether the virtual tokens are the same in front of any text."""
        return self.static and self.count > 0 and self.placement == "front"


PARTS = tuple(field.name for field in fields(Footprint))
