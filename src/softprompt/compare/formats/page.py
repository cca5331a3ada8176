"""A table as a page, to be sorted, filtered and opened result by result; its shell is that of all pages."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

from softprompt.compare.comparable import Column
from softprompt.compare.formats.drawings import interval_drawn, ranks_drawn, scale_of
from softprompt.compare.formats.grids import Entry, Grid, costs_grid, failed, ranks_grid, scores_grid, tests_grid
from softprompt.compare.gathering import FinishedRun
from softprompt.compare.table import Failure, Result, Sheet, Table
from softprompt.errors import shortened
from softprompt.files.places import REPORT
from softprompt.pages.marks import SERIES, Point
from softprompt.pages.plane import Plane, Series, plane
from softprompt.pages.scale import Scale
from softprompt.pages.shell import rendered

_TEXT, _NAME = 160, 40  # characters of a mistake's text, and of its labels
_PAIRS = 3  # of a run's classes that are confused most


@dataclass(frozen=True)
class Shown:
    """A field of a table on the page.

    Attributes:
        text: in it.
        value: that it is sorted by; empty goes last.
        mark: `best` or `second`.
        task: that its column is of, where the page may show that of one task alone.
        opens: the detail that it opens.
        picture: in the place of a text.
    """

    text: str
    value: str
    mark: str = ""
    task: str = ""
    opens: str = ""
    picture: Markup = field(default_factory=Markup)


@dataclass(frozen=True)
class ShownRow:
    """A line of a table: of which method, and its fields."""

    method: str
    fields: tuple[Shown, ...]


@dataclass(frozen=True)
class Head:
    """The head of a column, and the task that it is of."""

    text: str
    task: str = ""


@dataclass(frozen=True)
class ShownGrid:
    """A table on the page; a grid with what can be opened, and a picture above it."""

    heading: str
    title: str
    heads: tuple[Head, ...]
    rows: tuple[ShownRow, ...]
    foot: tuple[str, ...]
    task: str = ""
    picture: Markup = field(default_factory=Markup)


@dataclass(frozen=True)
class ShownSheet:
    """Everything on one backbone."""

    backbone: str
    grids: tuple[ShownGrid, ...]


@dataclass(frozen=True)
class ShownRun:
    """A run of a result; the link to its report is empty where it has none."""

    seed: int
    value: str
    seconds: str
    folder: str
    colour: int
    report: str


@dataclass(frozen=True)
class Detail:
    """What a result opens: its runs with their curves, and their errors."""

    name: str
    title: str
    metric: str
    curves: Markup
    runs: tuple[ShownRun, ...]
    failures: tuple[Failure, ...]
    confused: tuple[tuple[str, ...], ...]
    worst: tuple[tuple[str, ...], ...]


def as_page(table: Table, beside: Path | None = None) -> str:
    """The page.

    Args:
        table: what it shows.
        beside: the folder that it is to lie in, from where it links to the reports that runs have; None for no links.
    """
    names = {
        (sheet.backbone, *key): f"c{place}-{index}"
        for place, sheet in enumerate(table.sheets)
        for index, key in enumerate(_keys(sheet))
    }
    tasks = dict.fromkeys(column.label for sheet in table.sheets for column in sheet.columns)
    source = files("softprompt.compare.formats").joinpath("page.html.jinja").read_text(encoding="utf-8")
    return rendered(
        source,
        title="Results",
        table=table,
        failed=list(failed(table)),
        filters={"backbone": [sheet.backbone for sheet in table.sheets], "task": list(tasks)},
        sheets=[_sheet(sheet, table.baseline, names) for sheet in table.sheets],
        details=[detail for sheet in table.sheets for detail in _details(sheet, names, beside)],
    )


def _sheet(sheet: Sheet, baseline: str | None, names: dict[tuple[str, str, str], str]) -> ShownSheet:
    grids = [_scores(sheet, scores_grid(sheet, baseline), names)]
    if sheet.ranks is not None:
        picture = ranks_drawn(sheet.ranks)
        grids.append(_whole("Average ranks", ranks_grid(sheet, sheet.ranks), picture))
    grids += [_tests(sheet, column, tests_grid(sheet, column.label, baseline), baseline) for column in sheet.columns]
    grids.append(_whole("Costs", costs_grid(sheet)))
    return ShownSheet(sheet.backbone, tuple(grids))


def _scores(sheet: Sheet, grid: Grid, names: dict[tuple[str, str, str], str]) -> ShownGrid:
    """Methods by tasks, each score a button."""
    labels = [column.label for column in sheet.columns]
    rows = []
    for row in grid.rows:
        method, *entries = row
        fields = [_shown(method)]
        for place, entry in enumerate(entries):
            label = labels[place] if place < len(labels) else ""
            result = sheet.results.get((method.text, label))
            opens = names.get((sheet.backbone, method.text, label), "")
            value = f"{result.mean}" if result is not None else "" if opens else _number(entry.text)
            fields.append(Shown(entry.text, value, entry.mark, label, opens))
        rows.append(ShownRow(method.text, tuple(fields)))
    tasks = ["", *labels, *[""] * (len(grid.columns) - 1 - len(labels))]
    heads = [Head(text, label) for text, label in zip(grid.columns, tasks, strict=True)]
    return ShownGrid("", grid.title, tuple(heads), tuple(rows), grid.foot)


def _tests(sheet: Sheet, column: Column, grid: Grid, baseline: str | None) -> ShownGrid:
    """One task, its intervals drawn on one scale."""
    results = [sheet.results.get((row[0].text, column.label)) for row in grid.rows]
    scale = scale_of([one for one in results if one is not None])
    own = sheet.results.get((baseline, column.label)) if baseline is not None else None
    rows = []
    for row, result in zip(grid.rows, results, strict=True):
        first, score, *others = map(_shown, row)
        drawn = Shown("", "")
        if result is not None:
            picture = interval_drawn(result, scale, None if own is None else own.mean)
            drawn = Shown("", f"{result.mean}", picture=picture)
        rows.append(ShownRow(first.text, (first, score, drawn, *others)))
    heads = (*grid.columns[:2], _between(scale), *grid.columns[2:])
    return ShownGrid(column.label, grid.title, tuple(map(Head, heads)), tuple(rows), grid.foot, column.label)


def _between(scale: Scale) -> str:
    return f"{scale.low:.3f} to {scale.high:.3f}"


def _whole(heading: str, grid: Grid, picture: Markup | None = None) -> ShownGrid:
    rows = tuple(ShownRow(row[0].text, tuple(map(_shown, row))) for row in grid.rows)
    return ShownGrid(heading, grid.title, tuple(map(Head, grid.columns)), rows, grid.foot, "", picture or Markup())


def _shown(entry: Entry) -> Shown:
    return Shown(entry.text, _number(entry.text), entry.mark)


def _number(text: str) -> str:
    """What a text is sorted by: its first number, or itself."""
    first = text.replace(",", "").lstrip("<").split(" ")[0].split("/")[0]
    try:
        return f"{float(first)}"
    except ValueError:
        return text


def _details(sheet: Sheet, names: dict[tuple[str, str, str], str], beside: Path | None) -> Iterator[Detail]:
    for method, label in _keys(sheet):
        column = next(one for one in sheet.columns if one.label == label)
        result = sheet.results.get((method, label))
        runs = {} if result is None else result.runs
        yield Detail(
            name=names[sheet.backbone, method, label],
            title=f"{method} on {label}, {sheet.backbone}",
            metric=column.metric,
            curves=_curves(runs, column.metric),
            runs=tuple(_run(result, place, seed, beside) for place, seed in enumerate(runs))
            if result is not None
            else (),
            failures=sheet.failures.get((method, label), ()),
            confused=tuple(row for seed, run in runs.items() for row in _confused(seed, run)),
            worst=tuple(row for seed, run in runs.items() for row in _worst(seed, run)),
        )


def _keys(sheet: Sheet) -> list[tuple[str, str]]:
    """What can be opened: methods and columns with runs, and those whose runs all failed."""
    return [*dict.fromkeys((*sheet.results, *sheet.failures))]


def _run(result: Result, place: int, seed: int, beside: Path | None) -> ShownRun:
    run = result.runs[seed]
    seconds, report = f"{run.record.train_seconds:,.1f}", run.folder / REPORT
    link = quote(os.path.relpath(report, beside)) if beside is not None and report.is_file() else ""
    return ShownRun(seed, f"{result.scores[seed]:.3f}", seconds, str(run.folder), place % SERIES, link)


def _curves(runs: Mapping[int, FinishedRun], metric: str) -> Markup:
    """A metric of the validation rows by step, a line a run; empty where no run has two points."""
    series = [Series(f"seed {seed}", _points(run, metric)) for seed, run in runs.items()]
    if not any(len(one.points) > 1 for one in series):
        return Markup("")
    return plane(f"{metric} of the validation rows", "", series, Plane("step", metric)).picture


def _points(run: FinishedRun, metric: str) -> tuple[Point, ...]:
    points = [(one.get("step"), one.get(metric)) for one in run.record.history]
    return tuple(
        (float(step), float(value))
        for step, value in points
        if isinstance(step, (int, float)) and isinstance(value, (int, float))
    )


def _confused(seed: int, run: FinishedRun) -> Iterator[tuple[str, ...]]:
    found = run.record.breakdown
    for one in () if found is None else found.confused[:_PAIRS]:
        yield str(seed), shortened(one.label, _NAME), shortened(one.answer, _NAME), str(one.rows)


def _worst(seed: int, run: FinishedRun) -> Iterator[tuple[str, ...]]:
    found = run.record.breakdown
    for one in () if found is None else found.worst:
        yield str(seed), shortened(one.label, _NAME), shortened(one.answer, _NAME), shortened(one.text, _TEXT)
