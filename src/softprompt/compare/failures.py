"""The runs of a table that gave no score: each stands beside the scores of its method and task, with its line.

A mean is of finished runs alone, since a run that failed has no score and that of a diverged one is of an earlier
state. A method would look better by its failures, though, were they not told: so they are counted where the mean
stands, and a mean that lacks some is marked neither best nor second, has no star, no rank and no part in an average.
This is our choice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from softprompt.compare.comparable import Column
from softprompt.compare.gathering import FailedCell, FinishedRun, Gathered, LeftOut
from softprompt.compare.settings import names_of
from softprompt.compare.table import Failure

Key = tuple[str, str, str]  # a backbone, a method, and a column's label


class Named(NamedTuple):
    """What runs are called in a table, and which of them failed.

    Attributes:
        methods: the name of each finished run's method, by its folder.
        failures: by backbone, method and column, then by seed.
        left: what failed on a task or backbone of which no run is finished.
    """

    methods: Mapping[Path, str]
    failures: Mapping[Key, Mapping[int, Failure]]
    left: list[LeftOut]


def named(found: Gathered, columns: Sequence[Column]) -> Named:
    """Name the methods of a table's columns, and put what failed into them.

    Args:
        found: finished runs and others.
        columns: that the finished ones stand in.
    """
    diverged = [(run, _column_of(run, columns)) for run in found.diverged]
    methods = names_of([[*own.runs, *(run for run, one in diverged if one is own)] for own in columns])
    failures: dict[Key, dict[int, Failure]] = {}
    left = []
    for run, column in diverged:
        one = Failure(run.record.seed, _line(run), run.folder)
        if column is None:
            left.append(LeftOut(one.folder, one.line))
        else:
            failures.setdefault((column.backbone, methods[run.folder], column.label), {})[one.seed] = one
    for cell in found.failed:
        one = Failure(cell.outcome.seed, f"failed: {cell.outcome.line}", cell.folder)
        column = _column_of_cell(cell, columns)
        if column is None:
            left.append(LeftOut(one.folder, one.line))
        else:
            method = next(_alike(cell, found, methods), cell.outcome.method)
            failures.setdefault((column.backbone, method, column.label), {}).setdefault(one.seed, one)
    return Named(methods, failures, left)


def _line(run: FinishedRun) -> str:
    fault = run.record.diverged
    assert fault is not None
    return f"diverged at step {fault['step']}: the {fault['what']} was {fault['value']}"


def _column_of(run: FinishedRun, columns: Sequence[Column]) -> Column | None:
    """The column that a diverged run would stand in; of several sizes of a task the nearest."""
    own = [
        one
        for one in columns
        if (one.task, one.shots) == (run.record.task, run.shots) and one.runs[0].backbone == run.backbone
    ]
    return min(own, key=lambda one: abs((one.training_rows or 0) - (run.training_rows or 0)), default=None)


def _column_of_cell(cell: FailedCell, columns: Sequence[Column]) -> Column | None:
    """The column that a cell would stand in; the one of its own table's cells, where several are alike."""
    own, wanted = [], cell.outcome
    for column in columns:
        known = {run.record.backbone for run in column.runs}
        if (column.task, column.shots) == (wanted.task, wanted.shots) and wanted.backbone in known:
            own.append(column)
    beside = [one for one in own if any(run.folder.parent == cell.folder.parent for run in one.runs)]
    return next(iter([*beside, *own]), None)


def _alike(cell: FailedCell, found: Gathered, methods: Mapping[Path, str]) -> Iterator[str]:
    """What the table calls the method of a cell, by the finished cells beside it that have the same settings."""
    for folder, other in found.cells.items():
        if folder in methods and folder.parent == cell.folder.parent and other.method == cell.outcome.method:
            yield methods[folder]
