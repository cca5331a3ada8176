"""Tables that are written some rows at a time, and whole or not at all: csv, tsv, jsonl and parquet."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import BinaryIO, TypeAlias

from softprompt.errors import SoftPromptError
from softprompt.files import strict_json
from softprompt.files.whole import replacing_file
from softprompt.guards.paths import file_for

ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")
Values: TypeAlias = Mapping[str, object]
Write: TypeAlias = Callable[[Sequence[Values]], None]
_BREAKS = re.compile(r"[\t\r\n]")


def table_for(given: Path, what: str) -> Path:
    """A table to write, which need not be there yet.

    Raises:
        SoftPromptError: the place cannot be written, or the name ends in no format of these.
    """
    path = file_for(given, what)
    if path.suffix not in ENDINGS:
        raise SoftPromptError(f"{what} {path}: a table is written as {', '.join(ENDINGS)}: choose one of these endings")
    return path


class Columns:
    """The columns of rows that come some at a time, with what a table of them must know beforehand.

    Args:
        path: of the table to write.
    """

    def __init__(self, path: Path) -> None:
        """See the class."""
        self.path = path
        self.count = 0
        self.names: dict[str, None] = {}
        self._types: dict[str, set[type]] = {}

    def see(self, values: Values) -> None:
        """Take in one row.

        Raises:
            SoftPromptError: the table cannot hold it.
        """
        self.count += 1
        for name, value in values.items():
            if self.path.suffix == ".tsv" and _BREAKS.search(name):
                raise SoftPromptError(
                    f"{self.path}: column {name!r} has a tab or a line end in its name, which a tsv file cannot hold: "
                    "write a csv, jsonl or parquet file"
                )
            self.names.setdefault(name)
            if value is not None:
                # A time with its zone is written as text: columns of times have one zone for all of them.
                zoned = isinstance(value, datetime) and value.tzinfo is not None
                self._types.setdefault(name, set()).add(str if zoned else _kind(value))
            if self.path.suffix == ".tsv" and _BREAKS.search(_cell(value)):
                raise SoftPromptError(
                    f"{self.path}: row {self.count} has a tab or a line end in column {name!r}, which a tsv file "
                    "cannot hold: write a csv, jsonl or parquet file"
                )

    def kind(self, name: str) -> type:
        """The type of a column's values; text for one of several types that are not all numbers."""
        kinds = self._types.get(name, set())
        if kinds == {int, float}:
            return float
        return next(iter(kinds)) if len(kinds) == 1 else str


@contextmanager
def writing_table(columns: Columns, added: Mapping[str, type]) -> Iterator[Write]:
    """Write a table; a column that a row does not have is empty there.

    Args:
        columns: those of the rows.
        added: further ones, with the type of their values.

    Yields:
        A function to call with some rows at a time.

    Raises:
        SoftPromptError: the place cannot be written.
    """
    kinds = {**{name: columns.kind(name) for name in columns.names}, **added}
    with replacing_file(columns.path) as file:
        if columns.path.suffix == ".parquet":
            yield from _parquet(file, columns.path, kinds)
        elif columns.path.suffix == ".jsonl":
            yield from _jsonl(file)
        else:
            yield from _separated(file, list(kinds), "," if columns.path.suffix == ".csv" else "\t")


def _separated(file: BinaryIO, names: list[str], delimiter: str) -> Iterator[Write]:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer, quoting = (csv.writer(text, lineterminator="\n", quoting=one) for one in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL))

    def put(cells: Sequence[Sequence[str]]) -> None:
        if delimiter == ",":
            for row in cells:  # a carriage return alone ends a row, too, and is not quoted for itself
                (quoting if any("\r" in cell for cell in row) else writer).writerow(row)
        else:  # without quotes, as such files are read
            text.writelines(f"{delimiter.join(row)}\n" for row in cells)

    put([names])
    yield lambda rows: put([[_cell(row.get(name)) for name in names] for row in rows])
    text.detach()


def _jsonl(file: BinaryIO) -> Iterator[Write]:
    def write(rows: Sequence[Values]) -> None:
        file.writelines(f"{strict_json.dumps(_plain(row), indent=None)}\n".encode() for row in rows)

    yield write


def _parquet(file: BinaryIO, path: Path, kinds: Mapping[str, type]) -> Iterator[Write]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    own = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), bytes: pa.binary(), date: pa.date32()}
    own |= {datetime: pa.timestamp("us"), list[str]: pa.list_(pa.string()), list[float]: pa.list_(pa.float64())}
    schema = pa.schema([(name, own.get(kind, pa.string())) for name, kind in kinds.items()])

    def write(rows: Sequence[Values]) -> None:
        cells = {
            name: [value if kind in own or value is None else _cell(value) for value in (row.get(name) for row in rows)]
            for name, kind in kinds.items()
        }
        try:
            writer.write_table(pa.table(cells, schema=schema))
        except (pa.ArrowException, OverflowError) as error:
            why = str(error).splitlines()[0]
            raise SoftPromptError(f"{path}: parquet cannot hold the rows ({why}): write csv or jsonl") from None

    with pq.ParquetWriter(file, schema) as writer:
        yield write


def _kind(value: object) -> type:
    """The type of a value, and of a list of texts that of its texts, too."""
    return list[str] if isinstance(value, list) and all(isinstance(one, str) for one in value) else type(value)


def _cell(value: object) -> str:
    """A value as a table without types has it: text as it stands, no value as nothing, and what is nested as JSON."""
    if isinstance(value, (bool, list, dict)):
        return strict_json.dumps(_plain(value), indent=None)
    return "" if value is None else str(value)


def _plain(value: object) -> object:
    """A value as JSON can have it: dates and the like as text."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
