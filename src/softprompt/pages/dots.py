"""Names with a figure each, on one scale: the name above its line, so that a phone has room for both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from softprompt.pages.marks import LETTER, box, cut, dot, line, picture, shape, text
from softprompt.pages.parts import Figure, Table
from softprompt.pages.scale import Scale, around, ticks, told

WIDE, _ROW, _EDGE, _ABOVE, _BELOW = 420, 36, 14, 20, 34


@dataclass(frozen=True)
class Dot:
    """A name and its figure.

    Attributes:
        name: of the line.
        value: where the dot stands; None for a line without one.
        interval: from where to where its interval reaches, or None.
        others: figures that stand beside it as marks of another series each: of one entry a name in `others` of `dots`.
        rings: figures that it is the mean of.
        note: behind the figure, such as how many rows it is of.
    """

    name: str
    value: float | None
    interval: tuple[float, float] | None = None
    others: tuple[float | None, ...] = ()
    rings: tuple[float, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Axis:
    """What is on the scale.

    Attributes:
        name: what is measured.
        ends: of the scale; None for where the values lie.
        lines: values that the picture has a broken line at, by what they are.
        band: an area behind the dots, and what it is.
    """

    name: str
    ends: tuple[float, float] | None = None
    lines: Mapping[str, float] | None = None
    band: tuple[float, float, str] | None = None


def dots(title: str, caption: str, items: Sequence[Dot], axis: Axis, others: Sequence[str] = ()) -> Figure:
    """A dot for each name, with its interval as a line and what it is the mean of as rings.

    A dot shows a place on a scale and not a length, so that the scale need not begin at zero.

    Args:
        title: of the figure.
        caption: what is seen, and how it was computed.
        items: from top to bottom; at least one.
        axis: the scale.
        others: what further marks of each line are called.
    """
    scale = Scale(*(axis.ends or _ends(items, axis)), _EDGE, WIDE - _EDGE)
    bottom = _ABOVE + _ROW * len(items)
    parts = _ground(axis, scale, bottom)
    for place, item in enumerate(items):
        parts += _drawn(item, scale, _ABOVE + _ROW * place, others, tuple((axis.lines or {}).values()))
    names = [axis.name, *others]
    high = bottom + _BELOW + (20 if others else 0)
    if others:
        parts += _legend(names, bottom + _BELOW + 12)
    described = f"{title}: " + "; ".join(f"{item.name} {_figure(item)}" for item in items[:12])
    return Figure(title, caption, picture("plot", WIDE, high, described, parts), _table(title, items, axis, others))


def _ends(items: Sequence[Dot], axis: Axis) -> tuple[float, float]:
    found = [end for item in items for end in (*(item.interval or ()), *item.rings)]
    found += [one for item in items for one in (item.value, *item.others) if one is not None]
    return around([*found, *(axis.lines or {}).values(), *(axis.band[:2] if axis.band else ())])


def _ground(axis: Axis, scale: Scale, bottom: float) -> list[str]:
    """The scale below, its band, and its broken lines with their names."""
    parts = []
    if axis.band is not None:
        low, high, what = axis.band
        wide = scale.at(high) - scale.at(low)
        rails = range(_ABOVE + 16, int(bottom), _ROW)
        parts += [box("band", (scale.at(low), top), wide, 18, what) for top in rails]
    for one in ticks(scale.low, scale.high):
        parts += [line("grid", (scale.at(one), 4), (scale.at(one), bottom))]
        parts += [text(scale.at(one), bottom + 14, told(one), kind="small")]
    named = [f"{name} {told(value)}" for name, value in (axis.lines or {}).items()]
    below = "; ".join([axis.name, *(f"broken line: {one}" for one in named)])
    parts.append(text(WIDE / 2, bottom + 29, cut(below, WIDE - 2 * _EDGE), kind="small soft"))
    return parts


def _drawn(item: Dot, scale: Scale, top: float, others: Sequence[str], lines: Sequence[float]) -> list[str]:
    middle = top + 25
    told_all = f"{item.name}: {_figure(item)}"
    behind = f"{_figure(item)}{f'  {item.note}' if item.note else ''}"
    parts = [
        text(_EDGE, top + 12, cut(item.name, WIDE - 40 - 7 * len(behind)), "start"),
        text(WIDE - _EDGE, top + 12, behind, "end", "soft"),
        line("rail", (scale.start, middle), (scale.end, middle)),
        *(line("base", (scale.at(one), middle - 8), (scale.at(one), middle + 8)) for one in lines),
    ]
    if item.interval is not None:
        low, high = (scale.at(end) for end in item.interval)
        parts.append(line("reach", (low, middle), (high, middle)))
        parts += [line("reach", (end, middle - 4), (end, middle + 4)) for end in (low, high)]
    parts += [dot("seed", (scale.at(one), middle), 3.5, told(one)) for one in item.rings]
    pairs = zip(others, item.others, strict=False)
    parts += [
        shape(place, (scale.at(one), middle), f"{name}: {told(one)}")
        for place, (name, one) in enumerate(pairs, 1)
        if one is not None
    ]
    return parts if item.value is None else [*parts, shape(0, (scale.at(item.value), middle), told_all)]


def _figure(item: Dot) -> str:
    if item.value is None:
        return "none"
    ends = "" if item.interval is None else f" [{told(item.interval[0])}, {told(item.interval[1])}]"
    return f"{told(item.value)}{ends}"


def _legend(names: Sequence[str], y: float) -> list[str]:
    parts, x = [], float(_EDGE)
    for place, name in enumerate(names):
        own = cut(name, WIDE / len(names) - 30)
        parts += [shape(place, (x + 5, y - 4)), text(x + 16, y, own, "start", "small")]
        x += 30 + LETTER * len(own)
    return parts


def _table(title: str, items: Sequence[Dot], axis: Axis, others: Sequence[str]) -> Table:
    intervals, rings = any(item.interval for item in items), any(item.rings for item in items)
    noted = any(item.note for item in items)
    columns = ["", axis.name, *(["from", "to"] if intervals else []), *others]
    columns += [*(["of these"] if rings else []), *(["rows"] if noted else [])]
    rows = []
    for item in items:
        cells = [
            item.name,
            _cell(item.value),
            *([_cell(one) for one in item.interval or ("", "")] if intervals else []),
        ]
        cells += [_cell(one) for one in (*item.others, *[None] * (len(others) - len(item.others)))]
        cells += [" ".join(map(_cell, item.rings))] if rings else []
        rows.append((*cells, *([item.note] if noted else [])))
    lines = tuple(f"{name}: {_cell(value)}" for name, value in (axis.lines or {}).items())
    band = () if axis.band is None else (f"{axis.band[2]}: {_cell(axis.band[0])} to {_cell(axis.band[1])}",)
    return Table(title, tuple(columns), tuple(rows), (*lines, *band))


def _cell(value: float | str | None) -> str:
    return value if isinstance(value, str) else "" if value is None else f"{value:.4g}"
