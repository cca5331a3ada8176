"""A table of finished runs, as values: a sheet a backbone, methods by tasks, and behind each result its runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from softprompt.backbones.tunable import Tunable
from softprompt.compare.comparable import Column
from softprompt.compare.gathering import FinishedRun, LeftOut
from softprompt.compare.ranks import Ranks
from softprompt.compare.suites import SuiteAverage


class Interval(NamedTuple):
    """A 95 % interval of a mean score.

    Attributes:
        low: its lower end.
        high: its upper end.
        over: what is drawn: `rows and seeds`, `seeds` where a run has no predictions, or `rows` of a single run.
    """

    low: float
    high: float
    over: str


@dataclass(frozen=True)
class Comparison:
    """A result beside the baseline of its task, over the seeds that both have.

    Attributes:
        difference: of the means.
        seeds: how many both have.
        p_seeds: of the paired t test over seeds; None where there is none to be made.
        p_rows: of the permutation test over rows; None where answers are missing or alike.
        p: the larger of the two, or the one that there is.
        p_holm: `p` after Holm's correction for all comparisons of the task and backbone.
    """

    difference: float
    seeds: int
    p_seeds: float | None
    p_rows: float | None
    p: float | None
    p_holm: float | None = None


@dataclass(frozen=True)
class Costs:
    """What a result's runs cost.

    Attributes:
        trained: scalars, the most of the runs, those of a head among them.
        stored: scalars, likewise.
        stored_bytes: likewise.
        tunable: the trained scalars as a share of the backbone's, the most of the runs; None where no run tells it.
        seconds: of training, the mean of the runs.
        rows_per_second: of training, likewise; None where no run tells it.
        peak_memory_bytes: the most of the runs.
        search_seconds: of training the method's other settings on this task and backbone; None where there are none.
    """

    trained: int
    stored: int
    stored_bytes: int
    tunable: Tunable | None
    seconds: float
    rows_per_second: float | None
    peak_memory_bytes: int
    search_seconds: float | None


@dataclass(frozen=True)
class Result:
    """A method on a task, over its seeds.

    Attributes:
        scores: by seed.
        missing: seeds of the task that the method has no run of.
        mean: of the scores.
        deviation: of the sample; None for one seed.
        interval: of the mean; None where nothing can be drawn.
        comparison: with the baseline; None for the baseline itself, without one, and where no seed is shared.
        costs: of the runs.
        runs: by seed.
    """

    scores: Mapping[int, float]
    missing: tuple[int, ...]
    mean: float
    deviation: float | None
    interval: Interval | None
    comparison: Comparison | None
    costs: Costs
    runs: Mapping[int, FinishedRun]


class Failure(NamedTuple):
    """A run that gave no score.

    Attributes:
        seed: of the run.
        line: what became of it.
        folder: that it was to lie in.
    """

    seed: int
    line: str
    folder: Path


@dataclass(frozen=True)
class Sheet:
    """Everything on one backbone.

    Attributes:
        backbone: its name.
        columns: the tasks.
        methods: by what they are called, the best first.
        results: by method and the column's label.
        failures: runs that gave no score, likewise; a method may have nothing else.
        ranks: over tasks, of the methods that are whole on all; None for a single task or such method.
        suites: averages by suite and method, of the methods that are whole on all of a suite's tasks.
    """

    backbone: str
    columns: tuple[Column, ...]
    methods: tuple[str, ...]
    results: Mapping[tuple[str, str], Result]
    failures: Mapping[tuple[str, str], tuple[Failure, ...]]
    ranks: Ranks | None
    suites: Mapping[str, Mapping[str, SuiteAverage]]

    def whole(self, method: str, label: str) -> bool:
        """Whether a method's mean is of all seeds of a task: means over fewer are not compared with others."""
        result = self.results.get((method, label))
        return result is not None and not result.missing and (method, label) not in self.failures

    def standing(self, label: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The best methods of a column, and the second best, of those that are whole: means that print alike are.

        Where others have scores and one alone is whole it is not the best of anything.
        """
        scored = {method: result.mean for (method, column), result in self.results.items() if column == label}
        whole = [method for method in sorted(scored, key=lambda one: (-scored[one], one)) if self.whole(method, label)]
        own: dict[str, list[str]] = {}
        for method in whole if len(whole) > 1 or len(scored) == 1 else ():
            own.setdefault(f"{scored[method]:.3f}", []).append(method)
        best, second = [*map(tuple, own.values()), (), ()][:2]
        return best, second


@dataclass(frozen=True)
class Table:
    """Finished runs as a table.

    Attributes:
        sheets: one a backbone.
        baseline: the method that others are compared with; None for no comparison.
        left_out: folders that are in no sheet, with the reasons; those of failures are in `failures` of theirs.
        notes: what a reader should know.
        runs: how many are in it.
    """

    sheets: tuple[Sheet, ...]
    baseline: str | None
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    runs: int = field(default=0)
