"""A table as JSON, its keys documented in `docs/results.md`, and as CSV, a line a cell."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import asdict
from io import StringIO

from pydantic import JsonValue

from softprompt.compare.comparable import Column
from softprompt.compare.ranks import Ranks
from softprompt.compare.table import CellFigures, Sheet, Table
from softprompt.files import strict_json

FORMAT = 1
_OF_COLUMN = ("backbone", "task", "metric", "shots", "training_rows", "test_rows")
_OF_SCORE = ("method", "mean", "deviation", "low", "high", "interval_over", "seeds", "missing_seeds")
_OF_TEST = ("difference", "compared_seeds", "p_seeds", "p_rows", "p", "p_holm")
_OF_COST = ("trained", "stored", "stored_bytes", "seconds", "rows_per_second", "peak_memory_bytes", "search_seconds")
_OF_SHARE = {"tunable": "percent", "tunable_without_head": "percent_without_head"}
CELL = (*_OF_COLUMN, *_OF_SCORE, *_OF_TEST, *_OF_COST, *_OF_SHARE)


def as_json(table: Table) -> str:
    """The whole table."""
    return strict_json.dumps(document(table)) + "\n"


def document(table: Table) -> dict[str, JsonValue]:
    """The whole table in plain values."""
    return {
        "format": FORMAT,
        "baseline": table.baseline,
        "cells": [{**cell, "runs": _runs(own)} for sheet in table.sheets for cell, own in _cells(sheet)],
        "ranks": {sheet.backbone: _ranks(sheet.ranks) for sheet in table.sheets if sheet.ranks is not None},
        "suites": {
            sheet.backbone: {
                name: {method: dict(asdict(average)) for method, average in own.items()}
                for name, own in sheet.suites.items()
            }
            for sheet in table.sheets
            if sheet.suites
        },
        "left_out": [{"folder": str(one.folder), "reason": one.reason} for one in table.left_out],
        "notes": [*table.notes],
    }


def as_csv(table: Table) -> str:
    """A line a cell, its columns the keys of a cell in JSON; lists are joined by spaces."""
    stream = StringIO()
    writer = csv.DictWriter(stream, CELL, lineterminator="\n")
    writer.writeheader()
    for sheet in table.sheets:
        for cell, _ in _cells(sheet):
            writer.writerow(
                {name: " ".join(map(str, one)) if isinstance(one, list) else one for name, one in cell.items()}
            )
    return stream.getvalue()


def _cells(sheet: Sheet) -> Iterator[tuple[dict[str, JsonValue], CellFigures]]:
    """The figures of each cell, and the cell, task by task."""
    for column in sheet.columns:
        for method in sheet.methods:
            own = sheet.cells.get((method, column.label))
            if own is not None:
                yield _cell(column, method, own), own


def _cell(column: Column, method: str, cell: CellFigures) -> dict[str, JsonValue]:
    """The figures of a cell by the names in `CELL`."""
    low, high, over = (None, None, None) if cell.interval is None else cell.interval
    seeds: list[JsonValue] = [*cell.scores]
    missing: list[JsonValue] = [*cell.missing]
    scores = (method, cell.mean, cell.deviation, low, high, over, seeds, missing)
    return {
        **{name: getattr(column, name) for name in _OF_COLUMN},
        **dict(zip(_OF_SCORE, scores, strict=True)),
        **{name: _tested(cell, name) for name in _OF_TEST},
        **{name: getattr(cell.costs, name) for name in _OF_COST},
        **{name: getattr(cell.costs.tunable, own, None) for name, own in _OF_SHARE.items()},
    }


def _tested(cell: CellFigures, name: str) -> JsonValue:
    """A figure of the comparison; None where there is none."""
    if cell.comparison is None:
        return None
    found: JsonValue = getattr(cell.comparison, "seeds" if name == "compared_seeds" else name)
    return found


def _runs(cell: CellFigures) -> list[JsonValue]:
    return [
        {"seed": seed, "value": value, "folder": str(cell.runs[seed].folder)} for seed, value in cell.scores.items()
    ]


def _ranks(ranks: Ranks) -> dict[str, JsonValue]:
    return {
        "methods": dict(zip(ranks.methods, ranks.mean, strict=True)),
        "tasks": ranks.tasks,
        "p_friedman": ranks.chance,
        "critical_distance": ranks.distance,
    }
