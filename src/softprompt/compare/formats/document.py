"""A table as JSON, its keys documented in `docs/results.md`, and as CSV, a line a result."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from io import StringIO

from pydantic import JsonValue

from softprompt.compare.comparable import Column
from softprompt.compare.ranks import Ranks
from softprompt.compare.table import Failure, Result, Sheet, Table
from softprompt.files import strict_json

FORMAT = 1
_OF_COLUMN = ("backbone", "task", "metric", "shots", "training_rows", "test_rows")
_OF_SCORE = ("mean", "deviation", "low", "high", "interval_over", "seeds", "missing_seeds")
_OF_TEST = ("difference", "compared_seeds", "p_seeds", "p_rows", "p", "p_holm")
_OF_COST = ("trained", "stored", "stored_bytes", "seconds", "rows_per_second", "peak_memory_bytes", "search_seconds")
_OF_SHARE = {"tunable": "percent", "tunable_without_head": "percent_without_head"}
RESULT = (*_OF_COLUMN, "method", *_OF_SCORE, "failed", *_OF_TEST, *_OF_COST, *_OF_SHARE)
_FAILURES = "failures"  # in JSON a list of objects, in CSV their lines
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # what begins a formula in a spreadsheet


def as_json(table: Table) -> str:
    """The whole table."""
    return strict_json.dumps(document(table)) + "\n"


def document(table: Table) -> dict[str, JsonValue]:
    """The whole table in plain values."""
    return {
        "format": FORMAT,
        "baseline": table.baseline,
        "results": [one for sheet in table.sheets for one in _results(sheet)],
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
    """A line a result, its columns the keys of a result in JSON but for `runs`; lists are joined.

    A text that a spreadsheet would take for a formula has an apostrophe before it, which makes it one no more
    (https://owasp.org/www-community/attacks/CSV_Injection); numbers stay as they are.
    """
    stream = StringIO()
    writer = csv.DictWriter(stream, (*RESULT, _FAILURES), lineterminator="\n")
    writer.writeheader()
    for sheet in table.sheets:
        for result in _results(sheet):
            writer.writerow({name: _field(one) for name, one in result.items() if name != "runs"})
    return stream.getvalue()


def _field(value: JsonValue) -> JsonValue:
    """A value as a field of CSV."""
    if isinstance(value, list):
        lines = [f"{one['seed']}: {one['line']}" for one in value if isinstance(one, dict)]
        return "; ".join(lines) or " ".join(map(str, value))
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _results(sheet: Sheet) -> Iterator[dict[str, JsonValue]]:
    """The figures of each method on each task, task by task."""
    for column in sheet.columns:
        for method in sheet.methods:
            result, failures = sheet.results.get((method, column.label)), sheet.failures.get((method, column.label), ())
            if result is not None or failures:
                yield _result(column, method, result, failures)


def _result(column: Column, method: str, result: Result | None, failures: Sequence[Failure]) -> dict[str, JsonValue]:
    """The figures of a method on a task: those in `RESULT`, its runs and its failures."""
    own: dict[str, JsonValue] = dict.fromkeys(RESULT)
    own |= {name: getattr(column, name) for name in _OF_COLUMN}
    own |= {"method": method, "seeds": [], "failed": len(failures)}
    own |= {} if result is None else _figures(result)
    runs: list[JsonValue] = [] if result is None else _runs(result)
    told: list[JsonValue] = [{"seed": one.seed, "line": one.line, "folder": str(one.folder)} for one in failures]
    return {**own, "runs": runs, _FAILURES: told}


def _figures(result: Result) -> dict[str, JsonValue]:
    """What the runs with a score came to."""
    low, high, over = (None, None, None) if result.interval is None else result.interval
    seeds: list[JsonValue] = [*result.scores]
    missing: list[JsonValue] = [*result.missing]
    scores = (result.mean, result.deviation, low, high, over, seeds, missing)
    return {
        **dict(zip(_OF_SCORE, scores, strict=True)),
        **{name: _tested(result, name) for name in _OF_TEST},
        **{name: getattr(result.costs, name) for name in _OF_COST},
        **{name: getattr(result.costs.tunable, own, None) for name, own in _OF_SHARE.items()},
    }


def _tested(result: Result, name: str) -> JsonValue:
    """A figure of the comparison; None where there is none."""
    if result.comparison is None:
        return None
    found: JsonValue = getattr(result.comparison, "seeds" if name == "compared_seeds" else name)
    return found


def _runs(result: Result) -> list[JsonValue]:
    return [
        {"seed": seed, "value": value, "folder": str(result.runs[seed].folder)} for seed, value in result.scores.items()
    ]


def _ranks(ranks: Ranks) -> dict[str, JsonValue]:
    return {
        "methods": dict(zip(ranks.methods, ranks.mean, strict=True)),
        "tasks": ranks.tasks,
        "p_friedman": ranks.chance,
        "critical_distance": ranks.distance,
    }
