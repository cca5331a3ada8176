"""Plain texts of local files."""

from __future__ import annotations

from pathlib import Path

from softprompt.errors import SoftPromptError
from softprompt.guards.paths import path_of
from softprompt.tasks.data import files


def read_texts(given: str | Path, column: str = "text") -> list[str]:
    """The texts of a file: the lines of a `.txt`, a column of any other.

    Raises:
        SoftPromptError: the file cannot be read, has no such column, or no text in it.
    """
    path = path_of(given, "text")
    if path.suffix == ".txt":
        found = [line.strip() for _, line in files.lines(path)]
    else:
        columns = files.Columns(frozenset({column}), (), lambda _: False)
        records = files.read_records(path, columns)
        lacking = next((record for record in records if not isinstance(record.values.get(column), str)), None)
        if lacking is not None:
            raise SoftPromptError(f"{lacking.place}: no text in column {column!r}: name another --column")
        found = [record.values[column].strip() for record in records]
    texts = [text for text in found if text]
    if not texts:
        raise SoftPromptError(f"{path}: no text in it: give one a line")
    return texts
