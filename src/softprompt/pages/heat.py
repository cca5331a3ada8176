"""A heat map: cells coloured by a scale whose ends the caller fixes, with its colours explained below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from softprompt.pages.colours import STEPS, step_of
from softprompt.pages.marks import LETTER, box, cut, line, picture, text
from softprompt.pages.parts import Figure, Table
from softprompt.pages.scale import told

_HIGH, _GAP, _NAMES = 24, 2, 168  # of a row; between cells; room for names at most
_NARROW, _BAR = 420, 200  # a picture of at most this width stands beside others; the width of the bar of colours


@dataclass(frozen=True)
class Colours:
    """How values become colours.

    Attributes:
        name: what the values are.
        low: the value at one end.
        high: at the other.
        two_ways: whether the middle is nothing, and the ends are opposites.
    """

    name: str
    low: float
    high: float
    two_ways: bool = False


@dataclass(frozen=True)
class Cells:
    """What is coloured.

    Attributes:
        values: by row and column; None for an empty cell.
        rows: the names of the rows.
        columns: those of the columns.
        texts: what stands in the cells; None for nothing in them.
        across: what the columns are.
        down: what the rows are.
        groups: neighbouring columns with a name of their own: the first, and the one behind the last.
    """

    values: Sequence[Sequence[float | None]]
    rows: Sequence[str]
    columns: Sequence[str]
    texts: Sequence[Sequence[str]] | None = None
    across: str = ""
    down: str = ""
    groups: Sequence[tuple[str, int, int]] = ()


def heat(title: str, caption: str, cells: Cells, colours: Colours) -> Figure:
    """Draw a heat map.

    Args:
        title: of the figure.
        caption: what is seen, and how it was computed.
        cells: what is coloured; at least one row and column.
        colours: how.
    """
    size = _size(cells)
    left = min(_NAMES, 14 + LETTER * max(map(len, cells.rows), default=0)) + (16 if cells.down else 0)
    top, heads = _heads(cells, left, size)
    parts = [*heads, *_filled(cells, colours, left, top, size)]
    bottom = top + _HIGH * len(cells.rows)
    lean = 0.75 * min(LETTER * len(cells.columns[-1]), 110) if _slanted(cells, size) else 0  # of the last name
    wide = max(left + size * len(cells.columns) + lean + 8, left + _BAR + 20, 300)
    if cells.down:
        parts.append(text(11, (top + bottom) / 2, cut(cells.down, bottom - top + 40), kind="small soft", turned=-90))
    parts += _bar(colours, left, bottom + 14)
    described = f"{title}: {len(cells.rows)} rows, {len(cells.columns)} columns, {colours.name} by colour"
    drawn = picture("plot natural", wide, bottom + 56, described, parts)
    return Figure(title, caption, drawn, _table(title, cells), wide > _NARROW)


def _size(cells: Cells) -> float:
    """The width of a column: what its texts take, or its name, as far as that is short."""
    longest = max((len(one) for row in cells.texts or () for one in row), default=0)
    names = max(map(len, cells.columns), default=1)
    usual = 60.0 if len(cells.columns) <= 4 else 18.0
    return max(usual, LETTER * longest + 10 if longest else 0, LETTER * names + 8 if names <= 5 else 0)


def _slanted(cells: Cells, size: float) -> bool:
    """Whether the names of columns have no room beside one another."""
    return LETTER * max(map(len, cells.columns), default=0) > size - 2


def _heads(cells: Cells, left: float, size: float) -> tuple[float, list[str]]:
    """How much room the names of columns and groups take above the cells, and they."""
    longest, slanted = max(map(len, cells.columns), default=0), _slanted(cells, size)
    high = 12 + (min(LETTER * longest, 110) * 0.75 if slanted else 8)
    parts, above = [], 0.0
    if cells.groups:
        above = 14 + LETTER * max(len(name) for name, _, _ in cells.groups) * 0.75
        for name, start, end in cells.groups:
            x = left + size * start
            parts.append(line("axis", (x + 2, above - 4), (left + size * end - 4, above - 4)))
            parts.append(text(x + size * (end - start) / 2, above - 9, name, "start", "small soft", -40))
    if cells.across:
        above += 16
        parts.append(
            text(left, above - 2, cut(cells.across, max(size * len(cells.columns), _BAR)), "start", "small soft")
        )
    # Where a column is narrower than its number every second or third one has it.
    each = 1 if slanted or longest > 3 else max(1, -(-len(cells.columns) // 48))
    for place, name in enumerate(cells.columns):
        middle = left + size * (place + 0.5)
        if slanted:
            parts.append(text(middle - 2, above + high - 4, cut(name, 110), "start", "small", -45))
        elif place % each == 0:
            parts.append(text(middle, above + high - 5, name, kind="small"))
    return above + high, parts


def _filled(cells: Cells, colours: Colours, left: float, top: float, size: float) -> list[str]:
    parts, scale = [], "d" if colours.two_ways else "h"
    for down, (name, values) in enumerate(zip(cells.rows, cells.values, strict=True)):
        y = top + _HIGH * down
        parts.append(text(left - 6, y + 16, cut(name, min(left - 8, _NAMES)), "end", "small"))
        for place, value in enumerate(values):
            x = left + size * place
            if value is None:
                continue
            step = step_of(value, colours.low, colours.high)
            words = "" if cells.texts is None else cells.texts[down][place]
            hover = f"{name}, {cells.columns[place]}: {f'{words}, ' if words else ''}{colours.name} {told(value)}"
            parts.append(box(f"{scale}{step}", (x, y), size - _GAP, _HIGH - _GAP, hover))
            if words:
                parts.append(text(x + (size - _GAP) / 2, y + 16, words, kind=f"small {scale}t{step}"))
    return parts


def _bar(colours: Colours, left: float, top: float) -> list[str]:
    """The colours from end to end."""
    scale, size = "d" if colours.two_ways else "h", _BAR / (STEPS + 1)
    parts = [box(f"{scale}{step}", (left + size * step, top), size + 0.5, 8) for step in range(STEPS + 1)]
    parts += [text(left, top + 22, told(colours.low), "start", "small")]
    parts += [text(left + _BAR, top + 22, told(colours.high), "end", "small")]
    return [*parts, text(left + _BAR / 2, top + 36, colours.name, kind="small soft")]


def _table(title: str, cells: Cells) -> Table:
    rows = []
    for down, (name, values) in enumerate(zip(cells.rows, cells.values, strict=True)):
        own = ["" if value is None else f"{value:.4g}" for value in values]
        if cells.texts is not None:
            pairs = zip(cells.texts[down], own, strict=True)
            own = [words if words == value else f"{words} {value}".strip() for words, value in pairs]
        rows.append((name, *own))
    return Table(title, (cells.down, *cells.columns), tuple(rows))
