"""What stands between the cells of a csv file: commas, or what spreadsheets of other countries put there.

The header line tells. Commas stand between cells as long as a header with commas has a column of the task, so that a
file of one column whose texts hold semicolons is what it always was.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from softprompt.tasks.data.lines import TextFile

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_SAID = re.compile(r'"?sep=([^"])"?')  # what Excel reads and writes in front of a header


@dataclass(frozen=True)
class Dialect:
    """How a csv file is written.

    Attributes:
        delimiter: what stands between its cells.
        said: its first line says so, and is no row.
    """

    delimiter: str = ","
    said: bool = False

    def notes(self, name: str) -> list[str]:
        """What a reader of results should know of it."""
        if self.delimiter == ",":
            return []
        what = _DELIMITERS.get(self.delimiter, repr(self.delimiter))
        why = "its first line says" if self.said else "its header shows"
        return [f"{name}: cells are told apart by {what}, as {why}"]


def dialect_of(file: TextFile, fits: Callable[[Sequence[str]], int]) -> Dialect:
    """How a csv file is written.

    Args:
        file: that is open; it is read from its beginning afterwards.
        fits: how well cells fit as the first line, as the number of them that are columns of the task; 0 where they do
            not fit at all.
    """
    first = next((text for _, line in file.lines() if (text := line.partition("\r")[0]).strip()), "").rstrip("\n")
    said = _SAID.fullmatch(first.strip())
    if said is not None:
        return Dialect(said[1], said=True)
    found = {delimiter: _cells(first, delimiter) for delimiter in _DELIMITERS}
    best = max(found, key=lambda delimiter: fits(found[delimiter]))  # of equal ones the first, which is the comma
    return Dialect(best)


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], strict=True, delimiter=delimiter), [])]
    except csv.Error:  # as a quote that is closed in a later line
        return []
