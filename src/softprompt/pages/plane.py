"""Lines and points over two axes, with a legend in words, marks and colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from softprompt.pages.marks import SERIES, Point, course, cut, dot, line, picture, shape, text
from softprompt.pages.parts import Figure, Table
from softprompt.pages.scale import Scale, around, ticks, told

WIDE, _HIGH, _LEFT, _RIGHT, _TOP = 420, 250, 50, 14, 12
_LETTER = 6.8  # of the legend


@dataclass(frozen=True)
class Series:
    """Points of one kind.

    Attributes:
        name: in the legend.
        points: their places, in their order.
        joined: whether a line goes through them; where a step is not behind the last another line begins.
        chosen: a point that stands out, and what it is.
        labels: what each point is, where it has a name of its own.
    """

    name: str
    points: tuple[Point, ...]
    joined: bool = True
    chosen: tuple[Point, str] | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plane:
    """The axes.

    Attributes:
        across: the name of the horizontal one.
        up: of the vertical one.
        ends_across: its ends; None for where the points lie.
        ends_up: likewise.
        lines: broken lines from point to point, and what they are.
    """

    across: str
    up: str
    ends_across: tuple[float, float] | None = None
    ends_up: tuple[float, float] | None = None
    lines: tuple[tuple[Point, Point, str], ...] = ()


def plane(title: str, caption: str, series: Sequence[Series], axes: Plane) -> Figure:
    """Draw series over two axes.

    Args:
        title: of the figure.
        caption: what is seen, and how it was computed.
        series: at least one with a point.
        axes: what is measured.
    """
    points = [point for one in series for point in one.points]
    more = [point for start, end, _ in axes.lines for point in (start, end)]
    ends_across = axes.ends_across or around([x for x, _ in points], 0.03)
    ends_up = axes.ends_up or around([y for _, y in [*points, *more]], 0.08)
    across, up = Scale(*ends_across, _LEFT, WIDE - _RIGHT), Scale(*ends_up, _HIGH, _TOP)
    parts = _ground(axes, across, up)
    for place, one in enumerate(series):
        parts += _drawn(one, place, across, up)
    legend, high = _legend(series, axes, _HIGH + 54)
    parts += legend
    names = ", ".join(f"{one.name} ({len(one.points)} points)" for one in series[:12])
    described = f"{title}: {axes.up} by {axes.across}; {names}"
    return Figure(title, caption, picture("plot", WIDE, high, described, parts), _table(title, series, axes))


def _ground(axes: Plane, across: Scale, up: Scale) -> list[str]:
    parts = []
    for one in ticks(up.low, up.high):
        parts += [line("grid", (_LEFT, up.at(one)), (WIDE - _RIGHT, up.at(one)))]
        parts += [text(_LEFT - 6, up.at(one) + 4, told(one), "end", "small")]
    for one in ticks(across.low, across.high):
        parts += [line("grid", (across.at(one), _TOP), (across.at(one), _HIGH))]
        parts += [text(across.at(one), _HIGH + 15, told(one), kind="small")]
    for start, end, _ in axes.lines:
        parts.append(line("base", (across.at(start[0]), up.at(start[1])), (across.at(end[0]), up.at(end[1]))))
    parts.append(text((_LEFT + WIDE) / 2, _HIGH + 32, cut(axes.across, WIDE - _LEFT), kind="small soft"))
    parts.append(text(11, (_TOP + _HIGH) / 2, cut(axes.up, _HIGH), kind="small soft", turned=-90))
    return parts


def _drawn(one: Series, place: int, across: Scale, up: Scale) -> list[str]:
    parts = []
    if one.joined:
        runs = ([(across.at(x), up.at(y)) for x, y in run] for run in rising(one.points))
        parts += [course(f"curve s{place % SERIES}", run) for run in runs]
    if len(one.points) <= 60 or not one.joined:
        labels = one.labels or [f"{told(x)}, {told(y)}" for x, y in one.points]
        parts += [
            shape(place, (across.at(x), up.at(y)), f"{one.name}: {label}")
            for (x, y), label in zip(one.points, labels, strict=True)
        ]
    if one.chosen is not None:
        (x, y), what = one.chosen
        parts.append(dot("chosen", (across.at(x), up.at(y)), 9, what))
    return parts


def _legend(series: Sequence[Series], axes: Plane, top: float) -> tuple[list[str], float]:
    """The names in as many lines as they need, and where the picture ends."""
    marks = [(place, cut(one.name, 200)) for place, one in enumerate(series)]
    marks += [(-1, what) for _, _, what in axes.lines]
    marks += [(-2, what) for what in dict.fromkeys(one.chosen[1] for one in series if one.chosen is not None)]
    parts, x, y = [], float(_LEFT), top
    for place, name in marks:
        wide = 34 + _LETTER * len(name)
        if x > _LEFT and x + wide > WIDE:
            x, y = float(_LEFT), y + 18
        if place == -1:
            parts.append(line("base", (x, y - 4), (x + 14, y - 4)))
        else:
            parts.append(dot("chosen", (x + 7, y - 4), 6) if place == -2 else shape(place, (x + 7, y - 4)))
        parts.append(text(x + 19, y, cut(name, WIDE - _LEFT - 40), "start", "small"))
        x += wide
    return parts, y + 12


def rising(points: Sequence[Point]) -> list[list[Point]]:
    """The points in lines, a new one where a step is not behind the last."""
    lines: list[list[Point]] = []
    for point in points:
        if not lines or point[0] <= lines[-1][-1][0]:
            lines.append([])
        lines[-1].append(point)
    return lines


def _table(title: str, series: Sequence[Series], axes: Plane) -> Table:
    named = any(one.labels for one in series)
    rows = []
    for one in series:
        labels = one.labels or ("",) * len(one.points)
        for (x, y), label in zip(one.points, labels, strict=True):
            rows.append((one.name, *([label] if named else []), f"{x:.5g}", f"{y:.5g}"))
    chosen = tuple(
        f"{one.chosen[1]}: {one.name} at {one.chosen[0][0]:.5g}, {one.chosen[0][1]:.5g}"
        for one in series
        if one.chosen is not None
    )
    return Table(title, ("series", *(["point"] if named else []), axes.across, axes.up), tuple(rows), chosen)
