"""From folders of runs to a table: `softprompt results` and `softprompt.results`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import inf
from os import PathLike
from pathlib import Path
from statistics import fmean

from softprompt.compare.comparable import Column, columns_of
from softprompt.compare.failures import Named, named
from softprompt.compare.figures import results_of
from softprompt.compare.gathering import FinishedRun, LeftOut, gather
from softprompt.compare.ledger import Outcome
from softprompt.compare.ranks import Ranks, ranked
from softprompt.compare.suites import SUITES, Suite, SuiteAverage, average
from softprompt.compare.table import Failure, Result, Sheet, Table
from softprompt.errors import SoftPromptError

_Runs = Mapping[str, Mapping[int, FinishedRun]]  # by method and seed


def tabulate(
    folders: Sequence[str | PathLike[str]],
    baseline: str | None = None,
    metric: str | None = None,
    cells: Mapping[Path, Outcome] | None = None,
) -> Table:
    """The table of the runs below folders; see `results`.

    Args:
        folders: with runs.
        baseline: the method that others are compared with.
        metric: of all scores; by default each task's main metric.
        cells: how cells ended, by their folders, beside those of which ledgers in the folders tell.

    Raises:
        SoftPromptError: no finished run, no method of the baseline's name, or no run with the metric.
    """
    gathered = gather(folders, cells)
    columns, more = columns_of(gathered.finished, metric)
    found = named(gathered, columns)
    left = [*gathered.left, *more, *found.left]
    if not columns:
        first = left[0]
        raise SoftPromptError(f"{first.folder}: {first.reason}" + (f", and {len(left) - 1} more" if left[1:] else ""))
    known = list(dict.fromkeys(found.methods[run.folder] for column in columns for run in column.runs))
    if baseline is not None and baseline not in known:
        raise SoftPromptError(
            f"baseline {baseline!r} is no method of these runs: choose from {', '.join(sorted(known))}"
        )
    sheets, notes = [], list(_notes(columns))
    notes += ["no tests: no method is named as the baseline"] if baseline is None and len(known) > 1 else []
    for backbone in dict.fromkeys(column.backbone for column in columns):
        sheet, told, twice = _sheet([one for one in columns if one.backbone == backbone], found, baseline)
        sheets.append(sheet)
        notes += told
        left += twice
    counted = sum(len(result.runs) for sheet in sheets for result in sheet.results.values())
    return Table(tuple(sheets), baseline, tuple(sorted(left)), tuple(dict.fromkeys(notes)), counted)


def _sheet(columns: Sequence[Column], found: Named, baseline: str | None) -> tuple[Sheet, list[str], list[LeftOut]]:
    """Everything on one backbone, what a reader should know of it, and runs that were run twice."""
    results: dict[tuple[str, str], Result] = {}
    failures: dict[tuple[str, str], tuple[Failure, ...]] = {}
    left: list[LeftOut] = []
    for column in columns:
        runs, twice = _by_method(column, found.methods)
        own = results_of(column, runs, baseline, _searched(runs))
        results |= {(method, column.label): result for method, result in own.items()}
        failed, again = _failed(column, found, runs)
        failures |= failed
        left += [*twice, *again]
    methods = tuple(sorted({method for method, _ in (*results, *failures)}))
    sheet = Sheet(columns[0].backbone, tuple(columns), methods, results, failures, None, {})
    ranks, unranked = _ranks(sheet)
    suites, incomplete = _suites(sheet)
    made = replace(sheet, methods=_ordered(sheet, ranks), ranks=ranks, suites=suites)
    notes = [*unranked, *incomplete, *_untested(sheet, baseline)]
    return made, [f"{sheet.backbone}: {line}" for line in notes], left


def _failed(
    column: Column, found: Named, runs: _Runs
) -> tuple[dict[tuple[str, str], tuple[Failure, ...]], list[LeftOut]]:
    """What failed in a column, by method and label; what was done again elsewhere is told."""
    failures: dict[tuple[str, str], tuple[Failure, ...]] = {}
    left: list[LeftOut] = []
    for (backbone, method, label), own in found.failures.items():
        if (backbone, label) != (column.backbone, column.label):
            continue
        done = runs.get(method, {})
        left += [
            LeftOut(one.folder, f"{one.line}; done again in {done[seed].folder}")
            for seed, one in own.items()
            if seed in done
        ]
        if kept := tuple(one for seed, one in sorted(own.items()) if seed not in done):
            failures[method, label] = kept
    return failures, left


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


def _ranks(sheet: Sheet) -> tuple[Ranks | None, list[str]]:
    """The ranks of the methods that are whole on every task, and lines that say why others, or all, have none."""
    labels = [column.label for column in sheet.columns]
    whole = [method for method in sheet.methods if all(sheet.whole(method, label) for label in labels)]
    found = ranked([[sheet.results[method, label].mean for method in whole] for label in labels], whole)
    if found is None and len(labels) < 2:
        return None, ["no ranks: they need two tasks"] if len(sheet.methods) > 1 else []
    reasons: dict[str, list[str]] = defaultdict(list)
    for method in sheet.methods:
        if any((method, label) in sheet.failures for label in labels):
            reasons["a run of theirs failed"].append(method)
        elif any((method, label) not in sheet.results for label in labels):
            reasons["a task is missing"].append(method)
        elif method not in whole:
            reasons["seeds are missing"].append(method)
    told = [f"without a rank, for {reason}: {', '.join(own)}" for reason, own in reasons.items()]
    few = ["no ranks: they need two methods with every task and seed"] if found is None and told else []
    return found, [*few, *told]


def _untested(sheet: Sheet, baseline: str | None) -> Iterator[str]:
    """Where scores are not compared with the baseline's, and why."""
    if baseline is None:
        return
    if lacking := [column.label for column in sheet.columns if (baseline, column.label) not in sheet.results]:
        yield f"no tests on {', '.join(lacking)}: {baseline} has no score there"
    for label in [column.label for column in sheet.columns if column.label not in lacking]:
        apart = [
            method
            for method in sheet.methods
            if method != baseline
            and (method, label) in sheet.results
            and sheet.results[method, label].comparison is None
        ]
        if apart:
            yield f"no tests on {label} of {', '.join(apart)}: no seed in common with {baseline}"


def _suites(sheet: Sheet) -> tuple[dict[str, dict[str, SuiteAverage]], list[str]]:
    """The averages of the suites that a method has all tasks of, and lines that say what others lack."""
    found: dict[str, dict[str, SuiteAverage]] = {}
    notes = []
    for suite in SUITES:
        for shots in dict.fromkeys(column.shots for column in sheet.columns):
            own = [column for column in sheet.columns if column.shots == shots and column.task in suite.metrics]
            labels = {column.task: column.label for column in own}
            name = suite.name if shots is None else f"{suite.name}, {shots} shots"
            lacking = [f"without {task}" for task in suite.metrics if task not in labels]
            lacking += [
                f"{task} stands there twice" for task, count in Counter(one.task for one in own).items() if count > 1
            ]
            if lacking and 2 * len(labels) >= len(suite.metrics):
                notes.append(f"no average of {name}: {', '.join(lacking)}")
            averages = {} if lacking else _averages(sheet, suite, labels)
            found |= {name: averages} if averages else {}
            without = [] if lacking else [method for method in sheet.methods if method not in averages]
            if without:
                notes.append(f"no average of {name}, for tasks, seeds or its metrics are missing: {', '.join(without)}")
    return found, notes


def _averages(sheet: Sheet, suite: Suite, labels: Mapping[str, str]) -> dict[str, SuiteAverage]:
    """The average of each method that has every task with the suite's metric, and no failure."""
    found = {}
    for method in sheet.methods:
        own = {task: sheet.results[method, one] for task, one in labels.items() if sheet.whole(method, one)}
        scores = [_scores(result, suite.metrics[task]) for task, result in own.items()]
        if len(scores) == len(labels) and all(scores):
            found[method] = average(scores)
    return found


def _scores(result: Result, metric: str) -> list[float]:
    values = [run.record.test.value(metric) for run in result.runs.values()]
    return [] if None in values else [float(value) for value in values if value is not None]


def _ordered(sheet: Sheet, ranks: Ranks | None) -> tuple[str, ...]:
    """The methods, best first: by their ranks, those without one by the mean of what they have, and those without."""
    place = {} if ranks is None else {method: index for index, method in enumerate(ranks.methods)}
    means: dict[str, list[float]] = defaultdict(list)
    for (method, _), result in sheet.results.items():
        means[method].append(result.mean)

    def key(method: str) -> tuple[int, float, str]:
        own = means[method]
        return place.get(method, len(place)), -fmean(own) if own else inf, method

    return tuple(sorted(sheet.methods, key=key))


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
