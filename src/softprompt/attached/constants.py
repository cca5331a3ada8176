"""What of a call no trained value reaches, for whoever calls time and again: an attached model may be given it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypedDict

import torch
from torch import Tensor, nn

from softprompt.attached.wrapper import Wrapper
from softprompt.backbones.anatomy import Anatomy
from softprompt.sites.behind_texts import stands_behind
from softprompt.sites.kept_encodings import encodes_apart, leaves_encoder
from softprompt.sites.kept_texts import KeptTexts
from softprompt.sites.layer_skipping import RecordedStates, highest_start
from softprompt.sites.padding import Side
from softprompt.sites.producer import StandIn


class _OfCall(TypedDict):
    """What of a call is constant; see `Call`."""

    states_below: RecordedStates | None
    kept_texts: KeptTexts | None


class Constants(Wrapper):
    """A wrapper whose calls can begin above the lowest layers, or behind the texts of their rows.

    Attributes:
        anatomy: the parts of the backbone.
        moving: the sides on which padding would move a row of this backbone, so that rows run apart by their lengths.
    """

    anatomy: Anatomy
    moving: frozenset[Side]
    _stand_ins: Mapping[nn.Module, StandIn]

    @property
    def first_layer(self) -> int:
        """No state below this layer depends on what is trained; 0 where the family cannot leave layers out."""
        lowest = min((one.footprint.first_layer for one in self._producers), default=0)
        return 0 if self.moving else highest_start(self.anatomy, lowest)

    @property
    def leaves_encoder(self) -> bool:
        """Whether an encoder's states depend on nothing that is trained."""
        none = all(leaves_encoder(one.footprint) for one in self._producers) and not self._stand_ins
        return none and encodes_apart(self.anatomy)

    @contextmanager
    def starting_at_layer(self, rows: Sequence[Tensor] | None = None) -> Iterator[RecordedStates]:
        """Let the calls of the block begin at `first_layer`: with given states, or to record them.

        Args:
            rows: of each row of the batch the states of its own columns that enter the layer, `(T_i, H)`; None for
                whole passes that record them.
        """
        states_below = RecordedStates(self.first_layer, rows)
        token = _RECORDED.set((self, states_below))
        try:
            yield states_below
        finally:
            _RECORDED.reset(token)

    @contextmanager
    def keeping_texts(self, kept: KeptTexts) -> Iterator[None]:
        """Let the calls of the block take what is kept of their texts, where nothing that is trained reaches these.

        Args:
            kept: of this backbone as it is.
        """
        serves = stands_behind(self.anatomy) or encodes_apart(self.anatomy)  # tried while no call is open
        if self.moving or not serves:
            yield
            return
        token = _KEPT.set((self, kept))
        try:
            yield
        finally:
            _KEPT.reset(token)

    def _constants(self) -> _OfCall:
        """What a call is given."""
        if torch.compiler.is_compiling():
            return {"states_below": None, "kept_texts": None}
        below, kept = _RECORDED.get(), _KEPT.get()
        return {
            "states_below": below[1] if below is not None and below[0] is self else None,
            "kept_texts": kept[1] if kept is not None and kept[0] is self else None,
        }


_RECORDED: ContextVar[tuple[Constants, RecordedStates] | None] = ContextVar("softprompt_below", default=None)
_KEPT: ContextVar[tuple[Constants, KeptTexts] | None] = ContextVar("softprompt_kept", default=None)
