"""Pictures of a table as plain SVG, in the colours of the page that they stand on: intervals, ranks, curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from softprompt.compare.ranks import Ranks
from softprompt.compare.table import Result

_WIDE, _HIGH, _EDGE = 200, 22, 8  # of an interval
_LINE = 20  # between two names of the picture of ranks
_CURVE = (640, 220, 46)  # wide, high, and the room for numbers

Point = tuple[float, float]


@dataclass(frozen=True)
class Scale:
    """Values on a line of the picture.

    Attributes:
        low: the value at its beginning.
        high: at its end.
        start: where it begins.
        end: where it ends.
    """

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The place of a value; the middle where there is but one."""
        if self.high <= self.low:
            return (self.start + self.end) / 2
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


def scale_of(results: Sequence[Result]) -> Scale:
    """One scale for the intervals of a task."""
    ends = [end for result in results if result.interval is not None for end in result.interval[:2]]
    values = [*ends, *(value for result in results for value in result.scores.values())]
    return Scale(min(values), max(values), _EDGE, _WIDE - _EDGE)


def interval_drawn(result: Result, scale: Scale, baseline: float | None) -> Markup:
    """A mean as a dot, its interval as a line, its seeds as rings, and the baseline's mean as a broken line."""
    middle = _HIGH / 2
    parts = []
    if baseline is not None:
        parts.append(_line("base", (scale.at(baseline), 1), (scale.at(baseline), _HIGH - 1)))
    if result.interval is not None:
        low, high = scale.at(result.interval.low), scale.at(result.interval.high)
        parts.append(_line("reach", (low, middle), (high, middle)))
    parts += [f'<circle class="seed" cx="{scale.at(value)}" cy="{middle}" r="3"/>' for value in result.scores.values()]
    parts.append(f'<circle class="mean" cx="{scale.at(result.mean)}" cy="{middle}" r="4"/>')
    told = f"mean {result.mean:.3f}"
    if result.interval is not None:
        told += f", interval {result.interval.low:.3f} to {result.interval.high:.3f}"
    return _drawn(_WIDE, _HIGH, told, parts, "interval")


def ranks_drawn(ranks: Ranks) -> Markup:
    """Demšar's picture: names at their average ranks, a bar over those that are not told apart, and the distance."""
    count = len(ranks.methods)
    half = (count + 1) // 2
    groups = ranks.alike()
    axis = Scale(1, count, 250, 550)
    top, first = 58, 58 + 14 + 8 * len(groups)
    parts = [_line("axis", (axis.start, top), (axis.end, top))]
    for rank in range(1, count + 1):
        parts += [
            _line("axis", (axis.at(rank), top - 5), (axis.at(rank), top)),
            _text(axis.at(rank), top - 9, str(rank)),
        ]
    reach = min(axis.at(min(count, 1 + ranks.distance)), axis.end)
    parts += [
        _line("reach", (axis.start, 24), (reach, 24)),
        _text((axis.start + reach) / 2, 17, f"CD {ranks.distance:.2f}"),
    ]
    for place, (start, end) in enumerate(groups):
        y = top + 8 + 8 * place
        parts.append(_line("alike", (axis.at(ranks.mean[start]) - 4, y), (axis.at(ranks.mean[end]) + 4, y)))
    for place, (method, mean) in enumerate(zip(ranks.methods, ranks.mean, strict=True)):
        left = place < half
        y = first + 12 + _LINE * (place if left else count - 1 - place)
        side = 240 if left else 560
        path = f"{axis.at(mean)},{top} {axis.at(mean)},{y} {side},{y}"
        parts.append(f'<polyline class="leader" points="{path}"/>')
        told = f"{_short(method)} {mean:.2f}"
        parts.append(_text(side - 5 if left else side + 5, y + 4, told, "end" if left else "start"))
    return _drawn(800, first + 20 + _LINE * half, "average ranks and the critical difference", parts, "ranks")


def curves_drawn(curves: Mapping[str, Sequence[Point]], metric: str) -> Markup:
    """The metric of the validation rows over the steps, a line a run; empty where no run has two points.

    Args:
        curves: points of step and value, by the run's name; a step that falls begins another line.
        metric: its name.
    """
    drawn = {name: points for name, points in curves.items() if len(points) > 1}
    if not drawn:
        return Markup("")
    wide, high, room = _CURVE
    steps, values = zip(*(point for points in drawn.values() for point in points), strict=True)
    across = Scale(min(steps), max(steps), room, wide - 12)
    up = Scale(min(values), max(values), high - 30, 12)
    parts = [_line("axis", (room, 12), (room, high - 30)), _line("axis", (room, high - 30), (wide - 12, high - 30))]
    parts += [_text(room - 5, up.at(one) + 4, f"{one:.3g}", "end") for one in dict.fromkeys((up.low, up.high))]
    parts += [_text(across.at(one), high - 14, f"{one:g}") for one in dict.fromkeys((across.low, across.high))]
    parts.append(_text((room + wide) / 2, high - 2, f"{metric} of the validation rows by step"))
    for place, points in enumerate(drawn.values()):
        for line in _falling(points):
            path = " ".join(f"{across.at(step)},{up.at(value)}" for step, value in line)
            parts.append(f'<polyline class="curve s{place % 6}" points="{path}"/>')
    return _drawn(wide, high, "curves", parts, "curves")


def _falling(points: Sequence[Point]) -> list[list[Point]]:
    """The points in lines, a new one where a step is not behind the last."""
    lines: list[list[Point]] = []
    for point in points:
        if not lines or point[0] <= lines[-1][-1][0]:
            lines.append([])
        lines[-1].append(point)
    return lines


def _drawn(wide: float, high: float, told: str, parts: Sequence[str], kind: str) -> Markup:
    head = f'<svg class="{kind}" viewBox="0 0 {wide:g} {high:g}" width="{wide:g}" height="{high:g}" role="img"'
    inside = "".join(parts)
    return Markup(f'{head} aria-label="{escape(told)}">{inside}</svg>')  # noqa: S704  (texts in it are escaped)


def _line(kind: str, start: Point, end: Point) -> str:
    return f'<line class="{kind}" x1="{start[0]:g}" y1="{start[1]:g}" x2="{end[0]:g}" y2="{end[1]:g}"/>'


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'


def _short(name: str) -> str:
    return name if len(name) <= 28 else f"{name[:25]}..."
