"""What a trainer tells besides tensors: a part of a checkpoint's `state.json`."""

from __future__ import annotations

from pathlib import Path
from typing import NotRequired, TypedDict, cast

from softprompt.evaluation.score import Scores
from softprompt.files.documents import LONG, read_document
from softprompt.training.divergence import GuardState, NotFinite
from softprompt.training.fitting.checkpoint import STATE


class TrainerRecord(TypedDict):
    """What every trainer tells.

    Attributes:
        seconds: of training so far, over interruptions.
        history: the evaluations so far.
        losses: of the batches since the last evaluation; None for one that was not finite.
        diverged: what was not finite, if that ended the training.
        guard: the state of the guard.
    """

    seconds: float
    history: list[Scores]
    losses: list[float | None]
    diverged: NotFinite | None
    guard: GuardState


class FitRecord(TrainerRecord):
    """What the trainer of a prompt tells.

    Attributes:
        best_metrics: of the best evaluation; empty before the first.
        best_step: at which it was taken; -1 before the first.
        stale: evaluations since.
        finished: whether no step is left.
        gates: of a search, the gates' probabilities after each turn, `(turns, L)`.
    """

    best_metrics: Scores
    best_step: int
    stale: int
    finished: bool
    gates: NotRequired[list[list[float]]]


def load_extra(path: Path) -> FitRecord:
    """What stands in a whole checkpoint, which is read back against its manifest before."""
    return cast("FitRecord", read_document(path / STATE, longest=LONG))
