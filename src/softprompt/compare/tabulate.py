"""From folders of runs to a table: `softprompt results` and `softprompt.results`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path

from softprompt.compare.comparable import Column, columns_of
from softprompt.compare.figures import cells_of
from softprompt.compare.gathering import FinishedRun, LeftOut, gather
from softprompt.compare.ranks import Ranks, ranked
from softprompt.compare.settings import names_of
from softprompt.compare.suites import SUITES, Suite, SuiteAverage, average
from softprompt.compare.table import CellFigures, Sheet, Table
from softprompt.errors import SoftPromptError

_Runs = Mapping[str, Mapping[int, FinishedRun]]  # by method and seed


def tabulate(folders: Sequence[str | PathLike[str]], baseline: str | None = None, metric: str | None = None) -> Table:
    """The table of the runs below folders; see `results`.

    Raises:
        SoftPromptError: no finished run, no method of the baseline's name, or no run with the metric.
    """
    runs, left = gather(folders)
    columns, more = columns_of(runs, metric)
    left += more
    if not columns:
        first = left[0]
        raise SoftPromptError(f"{first.folder}: {first.reason}" + (f", and {len(left) - 1} more" if left[1:] else ""))
    names = names_of([column.runs for column in columns])
    known = list(dict.fromkeys(names.values()))
    if baseline is not None and baseline not in known:
        raise SoftPromptError(
            f"baseline {baseline!r} is no method of these runs: choose from {', '.join(sorted(known))}"
        )
    sheets, notes = [], list(_notes(columns))
    for backbone in dict.fromkeys(column.backbone for column in columns):
        sheet, told, twice = _sheet([one for one in columns if one.backbone == backbone], names, baseline)
        sheets.append(sheet)
        notes += told
        left += twice
    counted = sum(len(cell.runs) for sheet in sheets for cell in sheet.cells.values())
    return Table(tuple(sheets), baseline, tuple(sorted(left)), tuple(dict.fromkeys(notes)), counted)


def _sheet(
    columns: Sequence[Column], names: Mapping[Path, str], baseline: str | None
) -> tuple[Sheet, list[str], list[LeftOut]]:
    """Everything on one backbone, what a reader should know of it, and runs that were run twice."""
    cells: dict[tuple[str, str], CellFigures] = {}
    left: list[LeftOut] = []
    for column in columns:
        runs, twice = _by_method(column, names)
        own = cells_of(column, runs, baseline, _searched(runs))
        cells |= {(method, column.label): cell for method, cell in own.items()}
        left += twice
    methods = sorted({method for method, _ in cells})
    ranks, unranked = _ranks(cells, methods, columns)
    suites, incomplete = _suites(cells, methods, columns)
    order = _ordered(cells, methods, ranks, columns)
    labels = tuple(columns)
    return Sheet(columns[0].backbone, labels, tuple(order), cells, ranks, suites), [*unranked, *incomplete], left


def _by_method(column: Column, names: Mapping[Path, str]) -> tuple[_Runs, list[LeftOut]]:
    """The runs of a column by method and seed, and those that stand there already."""
    found: dict[str, dict[int, FinishedRun]] = defaultdict(dict)
    left = []
    for run in column.runs:
        own = found[names[run.folder]]
        there = own.setdefault(run.record.seed, run)
        if there is not run:
            left.append(LeftOut(run.folder, f"the same method, options and seed as {there.folder}"))
    return dict(sorted(found.items())), left


def _searched(runs: _Runs) -> dict[str, float]:
    """By method what training its other settings took: what it cost to find this one among them."""
    seconds = {method: sum(run.record.train_seconds for run in own.values()) for method, own in runs.items()}
    of = {method: next(iter(own.values())).record.method for method, own in runs.items()}
    others = {
        method: sum(seconds[other] for other in runs if of[other] == of[method] and other != method) for method in runs
    }
    return {method: cost for method, cost in others.items() if cost}


def _ranks(
    cells: Mapping[tuple[str, str], CellFigures], methods: Sequence[str], columns: Sequence[Column]
) -> tuple[Ranks | None, list[str]]:
    """The ranks of the methods that have every task, and a line that names the others."""
    labels = [column.label for column in columns]
    whole = [method for method in methods if all((method, label) in cells for label in labels)]
    found = ranked([[cells[method, label].mean for method in whole] for label in labels], whole)
    others = [method for method in methods if method not in whole]
    if found is None or not others:
        return found, []
    return found, [f"{columns[0].backbone}: without a rank, for a task is missing: {', '.join(others)}"]


def _suites(
    cells: Mapping[tuple[str, str], CellFigures], methods: Sequence[str], columns: Sequence[Column]
) -> tuple[dict[str, dict[str, SuiteAverage]], list[str]]:
    """The averages of the suites that a method has all tasks of, and lines that say what others lack."""
    found: dict[str, dict[str, SuiteAverage]] = {}
    notes = []
    for suite in SUITES:
        for shots in dict.fromkeys(column.shots for column in columns):
            own = [column for column in columns if column.shots == shots and column.task in suite.metrics]
            labels = {column.task: column.label for column in own}
            name = suite.name if shots is None else f"{suite.name}, {shots} shots"
            lacking = [f"without {task}" for task in suite.metrics if task not in labels]
            lacking += [
                f"{task} stands there twice" for task, count in Counter(one.task for one in own).items() if count > 1
            ]
            if lacking and 2 * len(labels) >= len(suite.metrics):
                notes.append(f"{columns[0].backbone}: no average of {name}: {', '.join(lacking)}")
            averages = {} if lacking else _averages(cells, methods, suite, labels)
            found |= {name: averages} if averages else {}
    return found, notes


def _averages(
    cells: Mapping[tuple[str, str], CellFigures], methods: Sequence[str], suite: Suite, labels: Mapping[str, str]
) -> dict[str, SuiteAverage]:
    """The average of each method that has every task with the suite's metric."""
    found = {}
    for method in methods:
        scores = [_scores(cells.get((method, label)), suite.metrics[task]) for task, label in labels.items()]
        if all(scores):
            found[method] = average(scores)
    return found


def _scores(cell: CellFigures | None, metric: str) -> list[float]:
    runs = () if cell is None else cell.runs.values()
    values = [run.record.test.value(metric) for run in runs]
    return [] if None in values else [float(value) for value in values if value is not None]


def _ordered(
    cells: Mapping[tuple[str, str], CellFigures], methods: Sequence[str], ranks: Ranks | None, columns: Sequence[Column]
) -> list[str]:
    """The methods, best first: by their ranks, and those without one by the mean of what they have."""
    place = {} if ranks is None else {method: index for index, method in enumerate(ranks.methods)}
    means = {
        method: [cells[method, column.label].mean for column in columns if (method, column.label) in cells]
        for method in methods
    }
    last = len(methods)
    return sorted(methods, key=lambda one: (place.get(one, last), -sum(means[one]) / len(means[one]), one))


def _notes(columns: Sequence[Column]) -> Iterator[str]:
    """What a reader should know of the runs."""
    runs = [run for column in columns for run in column.runs]
    silent = sum(run.predictions is None for run in runs)
    if silent:
        told = "intervals and tests there are by seeds alone"
        yield f"{silent} of {len(runs)} runs tell no answers to single rows (predictions.json): {told}"
    for column in columns:
        where = f"{column.label} on {column.backbone}"
        if not column.one_test:
            yield f"{where}: each seed has test rows of its own"
        trained: dict[int, set[str]] = defaultdict(set)
        for run in column.runs:
            trained[run.record.seed].add(str(run.part("rows").get("train")))
        others = [seed for seed, rows in trained.items() if len(rows) > 1]
        if others:
            yield f"{where}: runs of seed {', '.join(map(str, others))} were trained on different rows"
    versions = Counter(run.record.versions.get("softprompt", "unknown") for run in runs)
    if len(versions) > 1:
        yield "runs of several versions: " + ", ".join(f"{name} ({count})" for name, count in sorted(versions.items()))
