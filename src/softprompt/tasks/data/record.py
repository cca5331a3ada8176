"""One record of a table, and what a reader of tables must know of the task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a file: values by column, and where it stands for messages; a blank line has no values."""

    values: Mapping[str, object]
    path: str
    line: int
    blank: bool = False

    @property
    def place(self) -> str:
        """As ``train.tsv, line 5``."""
        return f"{self.path}, line {self.line}"


@dataclass(frozen=True, slots=True)
class TaggedColumns:
    """What the columns of a file of tagged words are called in its records.

    Attributes:
        words: the column of the words.
        tags: the column of their tags.
        always: text files of any name are of this layout.
    """

    words: str = "tokens"
    tags: str = "tags"
    always: bool = False


@dataclass(frozen=True, slots=True)
class Columns:
    """What a reader of a table must know of the task.

    Attributes:
        known: every column name that the task looks for.
        headerless: the columns of a file without a header line.
        is_label: whether a cell is one of the task's label values.
        tagged: where a task has a tag for each word, the columns of both.
        divider: what stands between the columns of text files, which then have no header line.
    """

    known: frozenset[str]
    headerless: tuple[str, ...]
    is_label: Callable[[str], bool]
    tagged: TaggedColumns | None = None
    divider: str | None = None

    def names_count(self, names: Sequence[str]) -> bool:
        """Whether the task's labels are the names of classes, and not their numbers, where a schema has both."""
        numbers = all(self.is_label(str(number)) for number in range(len(names)))
        return all(map(self.is_label, names)) or (not numbers and any(map(self.is_label, names)))


def begun(records: Iterator[Record]) -> tuple[Record, Iterator[Record]]:
    """The first of some records, of which there is one, and all of them."""
    first = next(records)
    return first, chain((first,), records)
