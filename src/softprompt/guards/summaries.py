"""How a value looks at a prompt of Python and as the last line of a notebook's cell: some lines, or a small table.

What users wrote is text there and never markup. The table brings no colours: it can be read on light and dark ground.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from softprompt.errors import shortened, shown

_LONGEST, _MOST = 160, 5  # characters of a cell, and rows of a table that are shown as lines
_LEFT = "text-align:left;vertical-align:top;padding:.15em .8em .15em 0"
_TABLE = "border-collapse:collapse;margin:.3em 0"


@dataclass(frozen=True)
class Summary:
    """What there is to say of a value in short.

    Attributes:
        title: what it is, in a line.
        facts: names and what they are, a line each.
        columns: of a table, where there is one.
        rows: of the table.
    """

    title: str
    facts: Sequence[tuple[str, str]] = ()
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()

    def text(self) -> str:
        """Some lines: of a table the first rows."""
        width = max((len(name) for name, _ in self.facts), default=0)
        lines = [_cell(self.title), *(f"  {_cell(name):{width}}  {_cell(value)}" for name, value in self.facts)]
        table = [self.columns, *self.rows[:_MOST]] if self.rows else []
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines += ["  " + "  ".join(f"{_cell(c):{w}}" for c, w in zip(row, widths, strict=True)) for row in table]
        more = len(self.rows) - _MOST
        return "\n".join(line.rstrip() for line in [*lines, *([f"  and {more} more"] if more > 0 else [])])

    def html(self) -> str:
        """A table of the facts, and one of the rows."""
        title = f"<div><b>{_safe(self.title)}</b></div>"
        facts = [
            _row(("th", f"{_LEFT};font-weight:normal;opacity:.75", name), ("td", _LEFT, value))
            for name, value in self.facts
        ]
        head = [_row(*(("th", _LEFT, name) for name in self.columns))] if self.rows else []
        rows = [_row(*(("td", f"{_LEFT};white-space:nowrap", cell) for cell in row)) for row in self.rows]
        return title + "".join(_table(part) for part in (facts, head + rows) if part)


class Summarised:
    """A value that shows its summary."""

    @abstractmethod
    def summary(self) -> Summary:
        """What there is to say of it in short."""

    def __repr__(self) -> str:
        return self.summary().text()

    def __str__(self) -> str:
        return repr(self)

    def _repr_html_(self) -> str:
        return self.summary().html()


def _cell(text: str) -> str:
    return shortened(shown(text), _LONGEST)


def _safe(text: str) -> str:
    return escape(_cell(text))


def _row(*cells: tuple[str, str, str]) -> str:
    return "<tr>" + "".join(f'<{tag} style="{style}">{_safe(text)}</{tag}>' for tag, style, text in cells) + "</tr>"


def _table(rows: Sequence[str]) -> str:
    return f'<table style="{_TABLE}">{"".join(rows)}</table>'
