"""What a search took beside the default: both trained on the same seeds with all of their rows, and tested."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import mean, stdev

from pydantic import BaseModel, ConfigDict, JsonValue

from softprompt.compare.cells import Cell
from softprompt.compare.ranges import Range, Value
from softprompt.compare.search import Found, Search
from softprompt.compare.study import Trial
from softprompt.files.places import METRICS
from softprompt.methods.registry import METHODS
from softprompt.training.finished import read_metrics
from softprompt.training.options import TrainingOptions

DEFAULT, FOUND = "default", "found"  # the arms


class _Told(BaseModel):
    """A value of these."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SearchArm(_Told):
    """A configuration on all seeds.

    Attributes:
        name: `default` or `found`.
        values: of what was searched; empty for the default.
        seeds: of its runs.
        test: the main metric of the test rows, by seed.
        mean: of these.
        deviation: of these; None of a single one.
        stored_bytes: of its prompt.
    """

    name: str
    values: dict[str, JsonValue]
    seeds: tuple[int, ...]
    test: tuple[float, ...]
    mean: float
    deviation: float | None
    stored_bytes: int


class TriedValues(_Told):
    """A trial: `scores` are of its folds, or one of the validation rows; none of one that failed or was cut."""

    number: int
    values: dict[str, JsonValue]
    scores: tuple[float, ...]
    seconds: float
    line: str = ""
    early: float | None = None
    cut: bool = False


class SearchRecord(_Told):
    """What `search.json` holds.

    Attributes:
        metric: the task's main one.
        folds: that each trial was measured on; 1: the validation rows.
        searched: the ranges, as they are typed.
        trials: all of them, the default first.
        best: number of the trial with the highest mean.
        taken: number of the trial that was taken: that one, or 0, the default, where the gain is within noise.
        gain: of the best trial's mean over the default's.
        error: the standard error of the gain.
        seconds: that the trials took together.
        arms: what was taken and the default on all seeds; the default alone where it was taken.
    """

    metric: str
    folds: int
    searched: tuple[str, ...]
    trials: tuple[TriedValues, ...]
    best: int
    taken: int
    gain: float
    error: float
    seconds: float
    arms: tuple[SearchArm, ...] = ()


def settings_of(found: Found, method: str) -> dict[str, JsonValue]:
    """The options that were taken, as a plan's `set` has them."""
    names = {one.name: _key(one, method) for one in found.ranges}
    return {names[name]: value for name, value in found.values.items()}


def _key(one: Range, method: str) -> str:
    """The option's name; with its owner where the method and the training both have it."""
    both = one.name in METHODS.get(method).model_fields and one.name in TrainingOptions.model_fields
    return f"{one.owner}.{one.name}" if both else one.name


def record_of(search: Search, found: Found, cells: Mapping[str, tuple[Cell, ...]]) -> SearchRecord:
    """What a search comes to.

    Args:
        search: that was done.
        found: what it found.
        cells: that are finished, by the arms' names.
    """
    return SearchRecord(
        metric=found.metric,
        folds=search.folds,
        searched=tuple(one.told() for one in found.ranges),
        trials=tuple(_tried(one) for one in found.trials),
        best=found.choice.best,
        taken=found.choice.place,
        gain=found.choice.gain,
        error=found.choice.error,
        seconds=found.seconds,
        arms=tuple(_arm(name, found, own) for name, own in cells.items()),
    )


def _tried(one: Trial) -> TriedValues:
    return TriedValues(
        number=one.number,
        values=_json(one.values),
        scores=one.scores or (),
        seconds=one.seconds,
        line=one.line,
        early=one.early,
        cut=one.cut,
    )


def _arm(name: str, found: Found, cells: tuple[Cell, ...]) -> SearchArm:
    records = [read_metrics(Path(cell.folder) / METRICS) for cell in cells]
    test = [float(one.test.value(one.metric) or 0.0) for one in records]
    return SearchArm(
        name=name,
        values=_json(found.values) if name == FOUND else {},
        seeds=tuple(cell.seed for cell in cells),
        test=tuple(test),
        mean=mean(test),
        deviation=stdev(test) if len(test) > 1 else None,
        stored_bytes=records[0].stored_bytes,
    )


def _json(values: Mapping[str, Value]) -> dict[str, JsonValue]:
    return dict(values)
