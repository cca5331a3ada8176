"""Records of local files: csv, tsv, jsonl, parquet and text, in UTF-8 with or without a byte order mark."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from softprompt.errors import SoftPromptError
from softprompt.guards import limits
from softprompt.guards.documents import parse_json
from softprompt.guards.paths import check_file, reading

ENDINGS = (".tsv", ".csv", ".jsonl", ".parquet", ".txt")
_BATCH = 16  # rows of a parquet file in memory at once
_PHYSICAL = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a file: values by column, and where it stands for messages."""

    values: Mapping[str, object]
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


def read_records(path: Path, columns: Columns) -> list[Record]:
    """The records of a file.

    Tab-separated files are read without quoting, as GLUE's are; comma-separated ones with it.

    Raises:
        SoftPromptError: the file cannot be read, is empty, is not UTF-8, or has a row of another width.
    """
    return list(each_record(path, columns))


def each_record(path: Path, columns: Columns) -> Iterator[Record]:
    """The records of a file one by one; see `read_records`."""
    if path.suffix not in ENDINGS:
        raise SoftPromptError(f"{path}: files that end in {path.suffix!r} are not read; use {', '.join(ENDINGS)}")
    check_file(path)
    if path.suffix == ".parquet":
        records = _parquet(path)
    elif path.suffix == ".jsonl":
        records = _jsonl(path)
    else:
        records = _table(path, _csv(path) if path.suffix == ".csv" else _tsv(path), columns)
    number = 0
    for number, record in enumerate(records, 1):  # noqa: B007
        yield record
    if not number:
        raise SoftPromptError(f"{path}: the file has no rows; give one row a line")


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file without their ends, numbered from 1; the file is never held whole.

    Raises:
        SoftPromptError: it is no file, cannot be opened or is not UTF-8, or a line is longer than `limits.LINE`.
    """
    for number, line in _whole_lines(path):
        yield number, line.removesuffix("\n").removesuffix("\r")


def _whole_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines with their ends, which are newlines alone: texts hold other characters that `splitlines` takes for one."""
    check_file(path)
    with reading(path), path.open("rb") as file:
        number = 0
        while data := file.readline(limits.LINE + 1):
            number += 1
            where = f"{path}, line {number}"
            limits.check(len(data), limits.LINE, "bytes in one line and more", where, "put one row a line")
            try:
                text = data.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise SoftPromptError(f"{where}: not UTF-8 text; save the file as UTF-8") from None
            yield number, text


def _tsv(path: Path) -> Iterator[tuple[int, list[str]]]:
    for number, line in lines(path):
        if line.strip(" "):
            yield number, line.split("\t")


def _csv(path: Path) -> Iterator[tuple[int, list[str]]]:
    limit = csv.field_size_limit(limits.TEXT)
    reader = csv.reader(_physical(path), strict=True)
    begun = 1
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, cells
            begun = reader.line_num + 1
    except csv.Error as error:
        where = f"{path}, line {reader.line_num}"
        if "field larger" in str(error):
            where, what = f"{path}, line {begun}", f"a text of more than {limits.TEXT:,} characters"
            raise SoftPromptError(f"{where}: {what}, the most there may be; is a quote never closed?") from None
        since = f" in the row that begins in line {begun}" if begun < reader.line_num else ""
        raise SoftPromptError(
            f"{where}: not proper csv ({error}{since}); put texts in double quotes and double the quotes inside"
        ) from None
    finally:
        csv.field_size_limit(limit)


def _physical(path: Path) -> Iterator[str]:
    """Lines with their ends, as `csv` wants them: a carriage return alone ends one, too."""
    for _, line in _whole_lines(path):
        yield from _PHYSICAL.findall(line) if "\r" in line else (line,)


def _table(path: Path, rows: Iterable[tuple[int, list[str]]], columns: Columns) -> Iterator[Record]:
    rows = iter(rows)
    number, first = next(rows, (0, []))
    if not first:
        return
    names = _headerless(first, columns)
    if names is None:
        names = [cell.strip() for cell in first]
        twice = next((name for name in names if name in columns.known and names.count(name) > 1), None)
        if twice is not None:
            raise SoftPromptError(f"{path}, line {number}: column {twice!r} stands twice; keep one")
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


def _jsonl(path: Path) -> Iterator[Record]:
    for number, line in lines(path):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        values = parse_json(line, where)
        if not isinstance(values, dict):
            raise SoftPromptError(f"{where}: not a JSON object; write one object a line")
        yield Record(values, str(path), number)


def _parquet(path: Path) -> Iterator[Record]:
    try:
        with pq.ParquetFile(path) as file:
            _check_unpacked(path, file.metadata)
            left = max(limits.UNPACKED, limits.UNPACKED_TIMES * path.stat().st_size)
            number = 0
            for batch in file.iter_batches(batch_size=_BATCH):
                left -= batch.nbytes
                if left < 0:
                    raise _unpacks(path, "its texts", "bytes")
                for values in batch.to_pylist():
                    number += 1
                    yield Record(values, str(path), number)
    except (OSError, pa.ArrowException) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SoftPromptError(f"{path}: not a parquet file ({reason}); write it again") from None


def _check_unpacked(path: Path, about: pq.FileMetaData) -> None:
    """Make sure that a column, packed, stands for no more than rows of its size do, as far as the footer tells.

    Raises:
        SoftPromptError: a few bytes stand for many rows or for long texts.
    """
    values: Counter[int] = Counter()
    for group in map(about.row_group, range(about.num_row_groups)):
        for place, column in ((place, group.column(place)) for place in range(group.num_columns)):
            values[place] += column.num_values
            if column.total_uncompressed_size > max(
                limits.UNPACKED, limits.UNPACKED_TIMES * column.total_compressed_size
            ):
                raise _unpacks(path, f"column {column.path_in_schema!r}", "bytes")
    if values and max(values.values()) > max(limits.ROWS, limits.ROWS_A_BYTE * path.stat().st_size):
        raise _unpacks(path, "its rows", "rows")


def _unpacks(path: Path, what: str, unit: str) -> SoftPromptError:
    floor, times = {"bytes": (limits.UNPACKED, limits.UNPACKED_TIMES), "rows": (limits.ROWS, limits.ROWS_A_BYTE)}[unit]
    return SoftPromptError(
        f"{path}: {what} would unpack to more than {floor:,} {unit} and more than {times} {unit} a byte of it; "
        "write the rows as jsonl"
    )
