"""What a page is made of, as values: figures with their numbers, tables, facts, code, and sections of these."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeAlias

from markupsafe import Markup

LONG = 40  # characters of a cell that is a text
_NUMBER = re.compile(r"[-+<±]?\d[\d.,:/%±+ -]*(s|ms)?")


@dataclass(frozen=True)
class Table:
    """A table, to be read without a script; with one its heads sort it.

    Attributes:
        title: what stands in it.
        columns: the heads.
        rows: the cells, as long as the heads.
        foot: lines below it.
        searchable: a script puts a field above it that keeps the rows in which a word stands.
    """

    kind: ClassVar[str] = "table"

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    foot: tuple[str, ...] = ()
    searchable: bool = False

    @property
    def wordy(self) -> bool:
        """Whether its rows are texts, or are searched, so that a narrow window shows each row as a list."""
        return self.searchable or any(len(cell) > LONG for row in self.rows for cell in row)

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Whether each column holds numbers, which stand at the right."""
        filled = [[cell for cell in column if cell] for column in zip(*self.rows, strict=True)]
        return tuple(bool(own) and all(_NUMBER.fullmatch(cell) for cell in own) for own in filled) or (
            (False,) * len(self.columns)
        )


@dataclass(frozen=True)
class Figure:
    """A picture with what it shows, in words and in numbers.

    Attributes:
        title: above it.
        caption: what is seen, and how it was computed.
        picture: SVG that `softprompt.pages.marks` makes.
        table: the same in numbers, which is what is saved as CSV.
        wide: it takes the whole width.
    """

    kind: ClassVar[str] = "figure"

    title: str
    caption: str
    picture: Markup
    table: Table
    wide: bool = False


@dataclass(frozen=True)
class Facts:
    """Names and what they are."""

    kind: ClassVar[str] = "facts"

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Code:
    """Lines that are copied as they stand, and what they are for."""

    kind: ClassVar[str] = "code"

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Note:
    """A line of its own."""

    kind: ClassVar[str] = "note"

    text: str


Part: TypeAlias = Table | Figure | Facts | Code | Note


@dataclass(frozen=True)
class Section:
    """A part of a page with a heading, which the page's list of contents names.

    Attributes:
        title: the heading.
        lines: below it, a paragraph each.
        parts: what follows.
    """

    title: str
    lines: tuple[str, ...] = ()
    parts: tuple[Part, ...] = field(default=())

    @property
    def name(self) -> str:
        """What a link calls it."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")

    @property
    def runs(self) -> list[list[Part]]:
        """The parts, those that stand side by side together: narrow figures that follow one another."""
        return side_by_side(self.parts)


def side_by_side(parts: Sequence[Part]) -> list[list[Part]]:
    """Parts in runs: figures that are not wide and follow one another are one run, any other part is one alone."""
    found: list[list[Part]] = []
    for part in parts:
        beside = isinstance(part, Figure) and not part.wide
        last = found[-1][-1] if found else None
        if beside and isinstance(last, Figure) and not last.wide:
            found[-1].append(part)
        else:
            found.append([part])
    return found
