"""Plain texts of local files."""

from __future__ import annotations

from pathlib import Path

from softprompt.errors import SoftPromptError
from softprompt.guards.paths import path_of
from softprompt.tasks.data import files
from softprompt.tasks.data.lines import lines
from softprompt.tasks.data.record import Columns, Record


def read_texts(given: str | Path, column: str = "text") -> list[str]:
    """The texts of a file: the lines of a `.txt`, a column of any other.

    Raises:
        SoftPromptError: the file cannot be read, has no such column, or no text in it.
    """
    path = path_of(given, "text")
    if files.ending_of(path).startswith(".txt"):
        found = [line.strip() for _, line in lines(path)]
    else:
        columns = Columns(frozenset({column}), (), lambda _: False)
        records = files.read_records(path, columns)
        found = [_text(record, column).strip() for record in records]
    texts = [text for text in found if text]
    if not texts:
        raise SoftPromptError(f"{path}: no text in it: give one a line")
    return texts


def _text(record: Record, column: str) -> str:
    found = record.values.get(column)
    if not isinstance(found, str):
        raise SoftPromptError(f"{record.place}: no text in column {column!r}: name another --column")
    return found
