"""A table for a terminal of 100 columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from textwrap import wrap

from rich.console import Console
from rich.table import Table as Drawn
from rich.text import Text

from softprompt.compare.formats.grids import BEST, SECOND, Grid, grids_of, told
from softprompt.compare.table import Table
from softprompt.errors import shown

WIDTH = 100
_NAMES, _AROUND = 20, 3  # the narrowest that names may be folded to, and what stands between two columns
_STYLES = {BEST: "bold", SECOND: "underline", "": ""}


def as_text(table: Table, *, styled: bool = False) -> str:
    """The grids, a blank line between two, and what stands below them.

    Args:
        table: to be shown.
        styled: with the codes by which a terminal writes bold and underlined.
    """
    stream = StringIO()
    console = Console(file=stream, width=WIDTH, force_terminal=styled, color_system="standard" if styled else None)
    for grid in grids_of(table):
        for piece in _pieces(grid):
            console.print(Text(shown(piece.title), "table.title"), soft_wrap=True)
            console.print(_drawn(piece))
            stream.write("".join(f"{line}\n" for foot in piece.foot for line in _wrapped(foot)) + "\n")
    stream.write("".join(f"{line}\n" for one in told(table) for line in _wrapped(one)))
    return "".join(f"{line.rstrip()}\n" for line in stream.getvalue().splitlines())


def _wrapped(line: str) -> list[str]:
    """A line in lines that fit; a path that is longer stays whole, so that it can be taken over."""
    return wrap(shown(line), WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _pieces(grid: Grid) -> Iterator[Grid]:
    """A grid in parts that fit, each with the names."""
    widths = [max(len(head), *(len(row[place].text) for row in grid.rows)) for place, head in enumerate(grid.columns)]
    names, begun = min(widths[0], _NAMES) + _AROUND, 1
    while begun < len(widths):
        end, used = begun, names + 1
        while end < len(widths) and (end == begun or used + widths[end] + _AROUND <= WIDTH):
            used += widths[end] + _AROUND
            end += 1
        chosen = (0, *range(begun, end))
        last = end == len(widths)
        yield replace(
            grid,
            columns=tuple(grid.columns[place] for place in chosen),
            rows=tuple(tuple(row[place] for place in chosen) for row in grid.rows),
            foot=grid.foot if last else (),
        )
        begun = end


def _drawn(grid: Grid) -> Drawn:
    drawn = Drawn(header_style="bold")
    for place, head in enumerate(grid.columns):
        figures = place > 0
        drawn.add_column(Text(shown(head)), justify="right" if figures else "left", overflow="fold", no_wrap=figures)
    for row in grid.rows:
        drawn.add_row(*(Text(shown(entry.text), _STYLES[entry.mark]) for entry in row))
    return drawn
