"""Records of local files: csv, tsv, jsonl, parquet and text, in UTF-8 with or without a byte order mark."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from softprompt.errors import SoftPromptError

ENDINGS = (".tsv", ".csv", ".jsonl", ".parquet", ".txt")


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a file: values by column, and where it stands for messages."""

    values: dict[str, Any]
    path: str
    line: int

    @property
    def place(self) -> str:
        """As ``train.tsv, line 5``."""
        return f"{self.path}, line {self.line}"


@dataclass(frozen=True, slots=True)
class Columns:
    """What a reader of a table without types must know of the task.

    Attributes:
        known: every column name that the task looks for.
        headerless: the columns of a file without a header line.
        is_label: whether a cell is one of the task's label values.
    """

    known: frozenset[str]
    headerless: tuple[str, ...]
    is_label: Callable[[str], bool]


def read(path: Path, columns: Columns, limit: int | None = None) -> list[Record]:
    """The records of a file, at most `limit` of them.

    Tab-separated files are read without quoting, as GLUE's are; comma-separated ones with it.

    Raises:
        SoftPromptError: the file cannot be read, is empty, is not UTF-8, or has a row of another width.
    """
    if path.suffix not in ENDINGS:
        raise SoftPromptError(f"{path}: files that end in {path.suffix!r} are not read; use {', '.join(ENDINGS)}")
    if path.suffix == ".parquet":
        records = _parquet(path)
    elif path.suffix == ".jsonl":
        records = _jsonl(path, read_text(path))
    else:
        cells = _csv(path, read_text(path)) if path.suffix == ".csv" else _tsv(read_text(path))
        records = _table(path, cells, columns)
    found = [record for record, _ in zip(records, range(limit if limit is not None else sys.maxsize), strict=False)]
    if not found:
        raise SoftPromptError(f"{path}: the file has no rows; give one row a line")
    return found


def read_text(path: Path) -> str:
    """A file's text.

    Raises:
        SoftPromptError: the file cannot be opened or is not UTF-8.
    """
    data = _bytes(path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SoftPromptError(f"{path}, line {line}: not UTF-8 text; save the file as UTF-8") from None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SoftPromptError(f"{path}: cannot be read ({error.strerror}); check the path and its rights") from None


def _tsv(text: str) -> Iterator[tuple[int, list[str]]]:
    # Split at newlines alone: texts hold other characters that `splitlines` takes for line ends.
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        if line.strip(" "):
            yield number, line.split("\t")


def _csv(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    limit = csv.field_size_limit(sys.maxsize)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except csv.Error as error:
        raise SoftPromptError(
            f"{path}, line {reader.line_num}: not proper csv ({error}); "
            "put texts in double quotes and double the quotes inside"
        ) from None
    finally:
        csv.field_size_limit(limit)


def _table(path: Path, rows: Iterable[tuple[int, list[str]]], columns: Columns) -> Iterator[Record]:
    rows = iter(rows)
    number, first = next(rows, (0, []))
    if not first:
        return
    names = _headerless(first, columns)
    if names is None:
        names = [cell.strip() for cell in first]
        if not columns.known & set(names):
            raise SoftPromptError(
                f"{path}, line {number}: no header with a column of the task; it looks for "
                f"{', '.join(map(repr, sorted(columns.known)))}, and found {', '.join(map(repr, names[:8]))}"
            )
    else:
        yield _record(path, number, names, first)
    for number, cells in rows:
        yield _record(path, number, names, cells)


def _headerless(first: list[str], columns: Columns) -> list[str] | None:
    """The columns' names where the first line is a row already, else None."""
    names = columns.headerless[: len(first)]
    if len(names) < len(first) or "label" not in names or len(first) < 2:
        return None
    return list(names) if columns.is_label(first[names.index("label")]) else None


def _record(path: Path, number: int, names: list[str], cells: list[str]) -> Record:
    if len(cells) > len(names):
        raise SoftPromptError(
            f"{path}, line {number}: {len(cells)} columns where the file has {len(names)}; "
            f"{'put texts in double quotes' if path.suffix == '.csv' else 'take tabs out of the texts'}"
        )
    return Record(dict(zip(names, cells, strict=False)), str(path), number)


def _jsonl(path: Path, text: str) -> Iterator[Record]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except json.JSONDecodeError as error:
            raise SoftPromptError(f"{path}, line {number}: not JSON ({error.msg}); write one object a line") from None
        if not isinstance(values, dict):
            raise SoftPromptError(f"{path}, line {number}: not a JSON object; write one object a line")
        yield Record(values, str(path), number)


def _parquet(path: Path) -> Iterator[Record]:
    try:
        rows = pq.read_table(path).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise SoftPromptError(f"{path}: not a parquet file ({str(error).splitlines()[0]}); write it again") from None
    for number, values in enumerate(rows, 1):
        yield Record(values, str(path), number)
