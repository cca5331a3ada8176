"""What `predict` is asked: texts, fields, a file, or standard input, which is kept in a file to be read twice."""

from __future__ import annotations

import io
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from softprompt.errors import SoftPromptError, quoted
from softprompt.guards.pairs import by_name
from softprompt.guards.paths import path_of

if TYPE_CHECKING:
    from softprompt.tasks import Row, Task

_INPUT, _SENT = "-", "standard input"
_BETWEEN = {".csv": r"[,;|]", ".tsv": r"\t"}  # what stands between a header's names
_NAME = 3  # words that a column's name may have


@dataclass(frozen=True)
class Questions:
    """What a user wants answers to.

    Attributes:
        task: whose fields are asked about.
        path: of a file of rows, or None.
        values: texts, or texts by field, where there is no file.
        encoding: of the file; None where its bytes tell it.
    """

    task: Task
    path: Path | None
    values: list[str | Mapping[str, object]]
    encoding: str | None = None

    def rows(self) -> list[Row]:
        """All rows; blank lines of a text file are none."""
        if self.path is not None:
            return self.task.rows_from(self.path, self.encoding)
        return self.task.rows_of(self.values)

    def each(self, notes: list[str]) -> Iterable[tuple[Mapping[str, object], list[Row]]]:
        """The columns of each record with the rows that it makes, one at a time; a blank one makes none.

        Args:
            notes: takes what there is to know of how a file was read.
        """
        if self.path is not None:
            return self.task.each_row_from(self.path, self.encoding, notes)
        named = [{self.task.fields[0]: one} if isinstance(one, str) else one for one in self.values]
        return zip(named, ([row] for row in self.rows()), strict=True)


def check_asked(texts: list[str], file: Path | None, fields: list[str]) -> tuple[list[str], Path | None]:
    """The texts and the file, with `-` for what comes in by a pipe.

    Raises:
        SoftPromptError: nothing is asked, or in two ways at once, or a text is the name of a folder or of a table.
    """
    if not texts and not fields and file is None and _piped():
        texts = [_INPUT]
    if sum(map(bool, (texts, file, fields))) != 1 or (_INPUT in texts and len(texts) > 1):
        raise SoftPromptError(
            'nothing to predict, or too much: give a text, --file or --field, as in predict RUN "a text", or - for '
            "standard input"
        )
    for text in texts:
        _check_no_path(text)
    return ([], Path(_INPUT)) if texts == [_INPUT] else (texts, file)


def _check_no_path(text: str) -> None:
    try:
        folder, file = os.path.isdir(text), os.path.isfile(text)
    except ValueError:  # no path at all
        return
    if folder:
        raise SoftPromptError(f"{quoted(text)} is a folder, and no text: give its files one by one with --file")
    if file and text.endswith(_tables()):
        raise SoftPromptError(f"{quoted(text)} is a file, and no text: give it with --file")


def _tables() -> tuple[str, ...]:
    from softprompt.tasks.data.conll import CONLL_ENDINGS
    from softprompt.tasks.data.files import ENDINGS

    return *ENDINGS, *CONLL_ENDINGS


@contextmanager
def questions(
    task: Task, texts: list[str], file: Path | None, fields: list[str], encoding: str | None = None
) -> Iterator[Questions]:
    """What is asked, once the task is known."""
    if file == Path(_INPUT):
        with _standard_input(task, encoding) as path:
            yield Questions(task, path, [], encoding)
    elif file is not None:
        yield Questions(task, path_of(file, "--file"), [], encoding)
    else:
        yield Questions(task, None, [*texts] if texts else [by_name(fields, "--field", "name=text")])


def _piped() -> bool:
    """Whether something was sent to standard input: a terminal and an empty device send nothing."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (AttributeError, OSError, ValueError, io.UnsupportedOperation):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


@contextmanager
def _standard_input(task: Task, encoding: str | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="softprompt-") as folder:
        path = Path(folder) / _SENT
        with path.open("wb") as kept:
            shutil.copyfileobj(sys.stdin.buffer, kept)
        try:
            yield path.rename(path.with_suffix(_ending(task, path, encoding)))
        except SoftPromptError as error:  # nobody knows the file: faults are told of what was sent
            raise SoftPromptError(re.sub(rf"{re.escape(str(path))}(\.\w+)*", _SENT, str(error))) from None


def _ending(task: Task, path: Path, encoding: str | None) -> str:
    """What came in: JSON, CoNLL's columns, a table whose first line names a column of the task, or one text a line."""
    from softprompt.tasks.data.conll import CONLL_ENDINGS, is_conll
    from softprompt.tasks.data.lines import lines
    from softprompt.tasks.data.records import columns_of

    _, first = next(lines(path, encoding), (1, ""))
    first = first.strip()
    if first.startswith("{") and first.endswith("}"):
        return ".jsonl"
    if task.kind == "tags" and is_conll(path, columns_of(task).is_label, encoding):
        return CONLL_ENDINGS[0]
    cells = {ending: [cell.strip().strip('"') for cell in re.split(by, first)] for ending, by in _BETWEEN.items()}
    return next((ending for ending, names in cells.items() if _is_header(task, names)), ".txt")


def _is_header(task: Task, names: list[str]) -> bool:
    """Whether a first line names a column for each field, and nothing in it reads like a sentence: it may be a text."""
    from softprompt.tasks.data.row import names_of

    there = all(set(names_of(task, field)) & set(names) for field in task.fields)
    return there and all(len(name.split()) <= _NAME for name in names)
