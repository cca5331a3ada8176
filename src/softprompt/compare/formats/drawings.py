"""Pictures of a table as plain SVG, in the colours of the page that they stand on: intervals and ranks."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from markupsafe import Markup

from softprompt.compare.ranks import Ranks
from softprompt.compare.table import Result
from softprompt.pages.marks import LETTER, course, dot, line, picture, text
from softprompt.pages.scale import Scale

_WIDE, _HIGH, _EDGE = 200, 22, 8  # of an interval
# Of the picture of ranks: between two names, characters of one, the width of the axis, and of a side at the least.
_LINE, _NAME, _AXIS, _SIDE = 20, 60, 300, 235


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
        parts.append(line("base", (scale.at(baseline), 1), (scale.at(baseline), _HIGH - 1)))
    if result.interval is not None:
        low, high = scale.at(result.interval.low), scale.at(result.interval.high)
        parts.append(line("reach", (low, middle), (high, middle)))
    parts += [dot("seed", (scale.at(value), middle), 3) for value in result.scores.values()]
    parts.append(dot("mean", (scale.at(result.mean), middle)))
    told = f"mean {result.mean:.3f}"
    if result.interval is not None:
        told += f", interval {result.interval.low:.3f} to {result.interval.high:.3f}"
    return picture("interval", _WIDE, _HIGH, told, parts)


def ranks_drawn(ranks: Ranks) -> Markup:
    """Demšar's picture: names at their average ranks, a bar over those that are not told apart, and the distance."""
    count = len(ranks.methods)
    half = (count + 1) // 2
    groups = ranks.alike()
    names = [f"{_short(method)} {mean:.2f}" for method, mean in zip(ranks.methods, ranks.mean, strict=True)]
    room = max(_SIDE, *(ceil(LETTER * len(name)) for name in names)) + 15
    axis = Scale(1, count, room, room + _AXIS)
    top, first = 58, 58 + 14 + 8 * len(groups)
    parts = [line("axis", (axis.start, top), (axis.end, top))]
    for rank in range(1, count + 1):
        parts += [
            line("axis", (axis.at(rank), top - 5), (axis.at(rank), top)),
            text(axis.at(rank), top - 9, str(rank)),
        ]
    reach = axis.at(1 + ranks.distance)  # of few tasks beyond the axis: no two ranks are so far apart
    parts += [
        line("reach", (axis.start, 24), (reach, 24)),
        text((axis.start + reach) / 2, 17, f"CD {ranks.distance:.2f}"),
    ]
    for place, (start, end) in enumerate(groups):
        y = top + 8 + 8 * place
        parts.append(line("alike", (axis.at(ranks.mean[start]) - 4, y), (axis.at(ranks.mean[end]) + 4, y)))
    for place, (name, mean) in enumerate(zip(names, ranks.mean, strict=True)):
        left = place < half
        y = first + 12 + _LINE * (place if left else count - 1 - place)
        side = axis.start - 10 if left else axis.end + 10
        parts.append(course("leader", [(axis.at(mean), top), (axis.at(mean), y), (side, y)]))
        parts.append(text(side - 5 if left else side + 5, y + 4, name, "end" if left else "start"))
    told = "average ranks and the critical difference"
    return picture("ranks", 2 * room + _AXIS, first + 20 + _LINE * half, told, parts)


def _short(name: str) -> str:
    return name if len(name) <= _NAME else f"{name[: _NAME - 3]}..."
