"""Records of tables in arrow's types: parquet files, arrow files, and tables that a user holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from softprompt.errors import SoftPromptError
from softprompt.guards import limits
from softprompt.guards.documents import json_value
from softprompt.tasks.data.packed_batches import unpacked_sizes
from softprompt.tasks.data.record import Columns, Record
from softprompt.tasks.values import plain

_BATCH = 16  # rows of a file in memory at once as Python's values
_FILE = b"ARROW1"  # how an arrow file begins and ends; a stream of the same batches ends with the other
_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"


def parquet_records(path: Path, columns: Columns) -> Iterator[Record]:
    """The records of a parquet file.

    Raises:
        SoftPromptError: it is none, or a few bytes of it stand for many rows or long texts.
    """
    try:
        with pq.ParquetFile(path) as file:
            _check_unpacked(path, file.metadata)
            batches = file.iter_batches(batch_size=_BATCH)
            yield from _of_file(path, file.schema_arrow, batches, columns)
    except (OSError, pa.ArrowException) as error:
        raise SoftPromptError(f"{path}: not a parquet file ({_first_line(error)}); write it again") from None


def ipc_records(path: Path, columns: Columns) -> Iterator[Record]:
    """The records of an arrow file, which feather's are, or of a stream of arrow's batches, as `datasets` writes it.

    Raises:
        SoftPromptError: it is none, or a few bytes of it stand for long texts.
    """
    try:
        with pa.memory_map(str(path)) as source:
            start = _start(path, source)
            source.seek(start)
            most = max(limits.UNPACKED, limits.UNPACKED_TIMES * path.stat().st_size)
            if any((most := most - size) < 0 for size in unpacked_sizes(source)):
                raise _unpacks(path, "its batches", "bytes")
            source.seek(start)
            with pa.ipc.open_stream(source) as reader:
                yield from _of_file(path, reader.schema, reader, columns)
    except (OSError, pa.ArrowException) as error:
        raise SoftPromptError(f"{path}: not an arrow file ({_first_line(error)}); write it again") from None


def records_of_batches(
    schema: pa.Schema, batches: Iterable[pa.RecordBatch], columns: Columns, origin: str, most: int | None = None
) -> Iterator[Record]:
    """The records of a table.

    Args:
        schema: its columns; the classes' names may stand in it, where `datasets` puts them.
        batches: of its rows.
        columns: what the task looks for.
        origin: where the rows are from, for messages.
        most: bytes that its values may have.

    Raises:
        SoftPromptError: a column stands twice, the values are not what the schema says, or have more bytes.
    """
    twice = next((name for name, count in Counter(schema.names).items() if count > 1), None)
    if twice is not None:
        raise SoftPromptError(f"{origin}: column {twice!r} stands twice; keep one")
    names = {key: of for key, of in class_names(schema).items() if columns.names_count(of)}
    number = 0
    for batch in batches:
        batch.validate(full=True)
        for start in range(0, batch.num_rows, _BATCH):
            values = [_decoded(column.slice(start, _BATCH)) for column in batch.columns]
            if most is not None and (most := most - sum(column.nbytes for column in values)) < 0:
                raise _unpacks(origin, "its texts", "bytes")
            cells = (_cells(column, names.get(name)) for name, column in zip(schema.names, values, strict=True))
            for row in zip(*cells, strict=True):
                number += 1
                yield Record(dict(zip(schema.names, row, strict=True)), origin, number)


def class_names(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    """The names of the classes that a column's numbers count, for each column whose schema has them.

    `datasets` writes them as ``ClassLabel`` into the metadata of arrow and parquet files.
    """
    written: object = (schema.metadata or {}).get(b"huggingface")
    try:
        written = json_value(written.decode()) if isinstance(written, bytes) else None
    except ValueError:  # another's entry of that name
        return {}
    for key in ("info", "features"):
        written = written.get(key) if isinstance(written, dict) else None
    found: dict[str, tuple[str, ...]] = {}
    for column, feature in written.items() if isinstance(written, dict) else ():
        # A list of them is a mapping, or in files of earlier versions a list, that holds what each is.
        inner = feature.get("feature") if isinstance(feature, dict) and "feature" in feature else feature
        inner = inner[0] if isinstance(inner, list) and inner else inner
        names = inner.get("names") if isinstance(inner, dict) and inner.get("_type") == "ClassLabel" else None
        if isinstance(names, list):
            found[column] = tuple(map(str, names))
    return found


def named(number: object, names: tuple[str, ...]) -> object:
    """The name of a class, or of each class of a list; what is no class's number stays, as the -1 of an unknown one."""
    if isinstance(number, list):
        return [named(one, names) for one in number]
    return names[number] if isinstance(number, int) and 0 <= number < len(names) else number


def _start(path: Path, source: pa.NativeFile) -> int:
    """Where a file's stream of batches begins: a file has a mark in front, and after them where they are."""
    size = source.size()
    whole = source.read(len(_FILE)) == _FILE
    end = _FILE if whole else _END
    source.seek(max(0, size - len(end)))
    if source.read() != end:
        raise pa.ArrowInvalid("its end is missing")
    return 8 if whole else 0


def _of_file(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch], columns: Columns) -> Iterator[Record]:
    size = path.stat().st_size
    most = max(limits.UNPACKED, limits.UNPACKED_TIMES * size)
    return records_of_batches(schema, _few_rows(path, size, batches), columns, str(path), most)


def _few_rows(path: Path, size: int, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    left = max(limits.ROWS, limits.ROWS_A_BYTE * size)
    for batch in batches:
        left -= batch.num_rows
        if left < 0:
            raise _unpacks(path, "its rows", "rows")
        yield batch


def _decoded(column: pa.Array) -> pa.Array:
    """A column's own values where it holds places in a dictionary of them."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _cells(column: pa.Array, names: tuple[str, ...] | None) -> list[object]:
    if pa.types.is_float32(column.type) or pa.types.is_float16(column.type):
        shorter = np.float32 if pa.types.is_float32(column.type) else np.float16
        return [None if value is None else plain(shorter(value)) for value in column.to_pylist()]
    values = [plain(value) for value in column.to_pylist()]
    return values if names is None else [named(value, names) for value in values]


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


def _unpacks(origin: object, what: str, unit: str) -> SoftPromptError:
    floor, times = {"bytes": (limits.UNPACKED, limits.UNPACKED_TIMES), "rows": (limits.ROWS, limits.ROWS_A_BYTE)}[unit]
    return SoftPromptError(
        f"{origin}: {what} would unpack to more than {floor:,} {unit} and more than {times} {unit} a byte of it; "
        "write the rows as jsonl"
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
