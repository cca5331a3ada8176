"""Curves of a training: what its evaluations found over the steps, of a run that is finished or under way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from softprompt.pages.parts import Figure
from softprompt.pages.plane import Plane, Series, plane

History = Sequence[Mapping[str, object]]  # evaluations, as `metrics.json` and checkpoints have them
_KEPT = "The circle is the state that was kept: the highest metric of the validation rows, then the lowest loss."


def curves(history: History, metric: str, rows: int | None = None, kept: float | None = None) -> list[Figure]:
    """The loss of training and validation rows, and the metric, over the steps; none where there are no two points.

    Args:
        history: the evaluations.
        metric: the task's main metric.
        rows: how many validation rows; None where that is not known.
        kept: the step whose state was kept; None of a training that is under way.
    """
    losses = {"training rows": _points(history, "train_loss"), "validation rows": _points(history, "loss")}
    how = "Each point is an evaluation." if kept is None else _KEPT
    figures = []
    if any(len(points) > 1 for points in losses.values()):
        series = [Series(name, tuple(points), chosen=_at(points, kept)) for name, points in losses.items() if points]
        caption = f"Mean negative log-probability of the right answer over the steps of training. {how}"
        figures.append(plane("Loss", caption, series, Plane("step", "loss")))
    points = _points(history, metric)
    if len(points) > 1:
        caption = f"The {metric} of the {'' if rows is None else f'{rows} '}validation rows over the steps. {how}"
        series = [Series("validation rows", tuple(points), chosen=_at(points, kept))]
        figures.append(plane(f"{metric} of the validation rows", caption, series, Plane("step", metric)))
    return figures


def _at(points: list[tuple[float, float]], step: float | None) -> tuple[tuple[float, float], str] | None:
    return next(((point, "kept state") for point in points if point[0] == step), None)


def _points(history: History, name: str) -> list[tuple[float, float]]:
    pairs = [(one.get("step"), one.get(name)) for one in history]
    return [
        (float(step), float(value))
        for step, value in pairs
        if isinstance(step, int | float) and isinstance(value, int | float)
    ]
