"""Predictions scored by the metrics of a task, the main one with a 95 % interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import JsonValue

from softprompt.errors import SoftPromptError, quoted
from softprompt.tasks.definition import TaskDefinition
from softprompt.tasks.metrics import METRICS, Array, Metric, Prediction, Scored
from softprompt.tasks.overlap import check_library
from softprompt.tasks.rows import Row

_Z = 1.959963984540054  # the 97.5 % point of the normal distribution
_DRAWS = 1000
_SEED = 0


def evaluate(task: TaskDefinition, rows: Sequence[Row], predictions: Sequence[Prediction]) -> dict[str, JsonValue]:
    """Score predictions with every metric of the task.

    Args:
        task: gives the metrics, the main one first.
        rows: labelled rows.
        predictions: for each row a class index (classification), a number (regression), the index or the text
            of a choice (choice), a text (generation), the tag's index of each word, -1 for none (tags), or the rank
            of a right answer, 0 for none (fact).

    Returns:
        Each metric's value (fractions from 0 to 1; correlations from -1 to 1), of a metric over spans that of each
        type, too (``span_f1.PER``), of rows in parts that of each part (``bleu.unseen``), ``rows`` (how many), and
        ``interval``: the main metric's 95 % interval `[low, high]`, Wilson's for a share of rows, else the
        percentiles of 1000 seeded bootstrap draws of rows or groups.

    Raises:
        SoftPromptError: no rows, another number of predictions than rows, a row without label, or a
            prediction that is no answer of the task.
    """
    _check(task, rows, predictions)
    result: dict[str, JsonValue] = {}
    for name in task.metrics:
        metric = METRICS[name]
        statistics = metric.statistics(task, rows, predictions)
        units = _units(metric, rows, statistics)
        sums = units.sum(axis=0)
        result[name] = float(metric.value(sums))
        parts = _of_parts(metric, rows, statistics) if metric.parts is None else metric.parts(task, sums)
        result |= {f"{name}.{part}": float(metric.value(own)) for part, own in parts.items()}
        if name == task.metric:
            interval = _wilson(units) if metric.proportion else _bootstrap(metric, units)
    return {**result, "rows": len(rows), "interval": [float(bound) for bound in interval]}


def value_of(task: TaskDefinition, rows: Sequence[Row], predictions: Sequence[Prediction]) -> float:
    """The main metric alone, without an interval; see `evaluate`."""
    _check(task, rows, predictions)
    metric = METRICS[task.metric]
    return float(metric.value(_units(metric, rows, metric.statistics(task, rows, predictions)).sum(axis=0)))


def sums_of_units(task: Scored, metric: str, rows: Sequence[Row], predictions: Sequence[Prediction]) -> Array:
    """What a metric is made of, one vector a unit `(units, S)`: a row, or all rows of a group; see `tasks.metrics`."""
    own = METRICS[metric]
    return _units(own, rows, own.statistics(task, rows, predictions))


def check_libraries(task: TaskDefinition) -> None:
    """Raise `SoftPromptError` where a metric of the task takes a library that is not installed."""
    for name in task.metrics:
        library = METRICS[name].library
        if library is not None:
            check_library(name, library)


def rows_scored(task: TaskDefinition, rows: Sequence[Row], predictions: Sequence[Prediction]) -> list[float]:
    """Each row's own score from 0 to 1: a choice's or text's by the main metric, of tags the share that is right."""
    _check(task, rows, predictions)
    metric = METRICS["token_accuracy" if task.kind == "tags" else task.metric]
    return [float(value) for value in metric.value(metric.statistics(task, rows, predictions))]


def _check(task: TaskDefinition, rows: Sequence[Row], predictions: Sequence[Prediction]) -> None:
    if not rows:
        raise SoftPromptError(f"task {task.name!r}: no rows to score; give labelled rows")
    if len(rows) != len(predictions):
        raise SoftPromptError(f"task {task.name!r}: {len(predictions)} predictions for {len(rows)} rows")
    unlabelled = next((row.index for row in rows if row.label is None), None)
    if unlabelled is not None:
        raise SoftPromptError(f"task {task.name!r}: row {unlabelled} has no label to score against")
    if task.kind == "classification":
        for prediction in predictions:
            if not (isinstance(prediction, (int, np.integer)) and 0 <= prediction < len(task.labels)):
                raise SoftPromptError(
                    f"task {task.name!r}: prediction {prediction!r} is no class of {len(task.labels)}"
                )
    if task.kind == "tags":
        for row, prediction in zip(rows, predictions, strict=True):
            if not isinstance(prediction, tuple) or len(prediction) != len(row.words):
                raise SoftPromptError(
                    f"task {task.name!r}: row {row.index} has {len(row.words)} words, each of which needs a tag, and "
                    f"the prediction is {quoted(prediction, 60)}"
                )


def _of_parts(metric: Metric, rows: Sequence[Row], statistics: Array) -> dict[str, Array]:
    """The sums of the rows of each part; nothing where rows have none."""
    parts: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        parts.setdefault(row.part, []).append(index)
    return {
        part: _units(metric, [rows[index] for index in members], statistics[members]).sum(axis=0)
        for part, members in sorted(parts.items())
        if part
    }


def _units(metric: Metric, rows: Sequence[Row], statistics: Array) -> Array:
    """One vector a unit, `[units, S]`, of one a row."""
    if all(row.group is None for row in rows):
        return statistics
    groups: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault(row.group if row.group is not None else f"row {row.index}", []).append(index)
    combine = np.prod if metric.by_group else np.sum
    return np.stack([combine(statistics[members], axis=0) for members in groups.values()])


def _wilson(units: Array) -> tuple[float, float]:
    hits, total = units.sum(axis=0)
    share, extra = hits / total, _Z**2 / total
    middle = (share + extra / 2) / (1 + extra)
    half = _Z * np.sqrt(share * (1 - share) / total + extra / (4 * total)) / (1 + extra)
    # The ends are exact where no unit or every unit is a hit; rounding would miss them by a hair.
    return (0.0 if hits == 0 else middle - half), (1.0 if hits == total else middle + half)


def _bootstrap(metric: Metric, units: Array) -> tuple[float, float]:
    generator = np.random.default_rng(_SEED)
    count = len(units)
    sums = np.stack(
        [
            np.bincount(generator.integers(0, count, count), minlength=count).astype(np.float64) @ units
            for _ in range(_DRAWS)
        ]
    )
    low, high = np.percentile(metric.value(sums), [2.5, 97.5])
    return float(low), float(high)
