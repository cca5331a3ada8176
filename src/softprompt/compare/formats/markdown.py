"""A table in Markdown: pipes as GitHub and MkDocs read them, the best bold and the second underlined."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from softprompt.compare.formats.grids import BEST, SECOND, Grid, grids_of, told
from softprompt.compare.table import Table
from softprompt.errors import shown

_MARKS = {BEST: "**{}**", SECOND: "<u>{}</u>"}
# What Markdown, or HTML inside it, would obey.
_OBEYED = re.compile(r"([\\`*_{}\[\]()#+!|<>&~-])")


def as_markdown(table: Table) -> str:
    """The grids below headings, and what stands below them as a list."""
    parts = ["\n".join(_grid(grid)) for grid in grids_of(table)]
    lines = [f"- {escaped(line)}" for line in told(table)]
    return "\n\n".join([*parts, *(["\n".join(lines)] if lines else [])]) + "\n"


def _grid(grid: Grid) -> Iterator[str]:
    yield f"## {escaped(grid.title)}"
    yield ""
    yield _line([escaped(head) for head in grid.columns])
    yield _line(["---", *["---:"] * (len(grid.columns) - 1)])
    for row in grid.rows:
        yield _line([entry.written(escaped, _MARKS) for entry in row])
    if grid.foot:
        yield ""
        yield "<br>".join(map(escaped, grid.foot))


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escaped(text: str) -> str:
    """A text in one line that is shown as it is."""
    return _OBEYED.sub(_harmless, shown(text))


def _harmless(found: re.Match[str]) -> str:
    one = found.group()
    return {"<": "&lt;", ">": "&gt;", "&": "&amp;"}.get(one, one if _plain(found) else f"\\{one}")


def _plain(found: re.Match[str]) -> bool:
    """Whether a mark has no meaning where it stands: a hyphen, a bracket or a plus inside a line, a _ inside a word."""
    text, place = found.string, found.start()
    if found.group() in "()-+!#{}":
        return place > 0 or text[1:2].isdigit()
    inside = 0 < place < len(text) - 1
    return found.group() == "_" and inside and text[place - 1].isalnum() and text[place + 1].isalnum()
