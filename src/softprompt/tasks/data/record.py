"""One record of a table, and what a reader of tables must know of the task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


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
class Columns:
    """What a reader of a table must know of the task.

    Attributes:
        known: every column name that the task looks for.
        headerless: the columns of a file without a header line.
        is_label: whether a cell is one of the task's label values.
    """

    known: frozenset[str]
    headerless: tuple[str, ...]
    is_label: Callable[[str], bool]

    def names_count(self, names: Sequence[str]) -> bool:
        """Whether the task's labels are the names of classes, and not their numbers, where a schema has both."""
        numbers = all(self.is_label(str(number)) for number in range(len(names)))
        return all(map(self.is_label, names)) or (not numbers and any(map(self.is_label, names)))
