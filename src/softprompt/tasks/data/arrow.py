"""Records of tables in arrow's types: parquet files, arrow files, and tables that a user holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from softprompt.errors import SoftPromptError
from softprompt.guards import limits
from softprompt.guards.documents import json_value
from softprompt.tasks.data.packed_batches import unpacked_sizes
from softprompt.tasks.data.record import Columns, Record
from softprompt.tasks.data.watching import Tick, watched
from softprompt.tasks.values import plain

# Rows in memory at once as Python's values: so many, fewer where their values are long, as of what is nested.
_BATCH, _NESTED_BATCH, _BATCH_BYTES = 1024, 16, 1 << 22
_PAGES = 1 << 20  # bytes of a parquet file's column that are read at once
_FILE = b"ARROW1"  # how an arrow file begins and ends; a stream of the same batches ends with the other
_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"


def parquet_records(path: Path, columns: Columns) -> Iterator[Record]:
    """The records of a parquet file.

    Raises:
        SoftPromptError: it is none, or a few bytes of it stand for many rows or long texts.
    """
    try:
        with pq.ParquetFile(path) as file:
            about, schema = file.metadata, file.schema_arrow
        _check_unpacked(path, about)
        # Texts that a dictionary holds are unpacked to places in it: few bytes stand for many long ones.
        # Pages as they are needed: without a buffer's size, a column of all rows of a group is read at once.
        pages = {"pre_buffer": False, "buffer_size": _PAGES}
        with pq.ParquetFile(path, metadata=about, read_dictionary=_texts(schema), **pages) as file:
            batches = file.iter_batches(batch_size=_batch_of(about, schema))
            yield from _of_file(path, schema, batches, columns, about.num_rows)
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
            rows = _checked_rows(path, source)
            source.seek(start)
            with pa.ipc.open_stream(source) as reader:
                yield from _of_file(path, reader.schema, reader, columns, rows)
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
        size = _rows_at_once(batch)
        for start in range(0, batch.num_rows, size):
            values = [_decoded(column.slice(start, size)) for column in batch.columns]
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


def _of_file(
    path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch], columns: Columns, rows: int
) -> Iterator[Record]:
    most = max(limits.UNPACKED, limits.UNPACKED_TIMES * path.stat().st_size)
    with watched(path, rows, "rows") as tick:
        yield from records_of_batches(schema, _ticked(batches, tick), columns, str(path), most)


def _ticked(batches: Iterable[pa.RecordBatch], tick: Tick) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch
        tick(batch.num_rows)


def _texts(schema: pa.Schema) -> list[str]:
    """The columns of texts or bytes, which a parquet file may hold as places in a dictionary of them."""
    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return [field.name for field in schema if any(is_kind(field.type) for is_kind in kinds)]


def _batch_of(about: pq.FileMetaData, schema: pa.Schema) -> int:
    """How many rows of a parquet file to unpack at once."""
    if any(pa.types.is_nested(field.type) for field in schema):
        return _NESTED_BATCH
    groups = map(about.row_group, range(about.num_row_groups))
    longest = max((group.total_byte_size // max(group.num_rows, 1) for group in groups), default=0)
    return int(max(_NESTED_BATCH, min(_BATCH, _BATCH_BYTES // max(longest, 1))))


def _rows_at_once(batch: pa.RecordBatch) -> int:
    """How many rows of a batch to make Python's values of at once."""
    longest = 1
    for column in batch.columns:
        if pa.types.is_dictionary(column.type):
            longest = max(longest, _longest(column.dictionary))
        elif pa.types.is_nested(column.type):
            return _NESTED_BATCH
    each = max(longest, batch.nbytes // max(batch.num_rows, 1))
    return max(1, min(_BATCH, _BATCH_BYTES // int(each)))


def _longest(values: pa.Array) -> int:
    """The bytes of the longest of a dictionary's values."""
    try:
        found = pc.max(pc.binary_length(values)).as_py()
    except pa.ArrowNotImplementedError:  # numbers and the like
        found = 16
    return int(found or 1)


def _decoded(column: pa.Array) -> pa.Array:
    """A column's own values where it holds places in a dictionary of them."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _cells(column: pa.Array, names: tuple[str, ...] | None) -> list[object]:
    if pa.types.is_float32(column.type) or pa.types.is_float16(column.type):
        shorter = np.float32 if pa.types.is_float32(column.type) else np.float16
        return [None if value is None else plain(shorter(value)) for value in column.to_pylist()]
    try:
        values = [plain(value) for value in column.to_pylist()]
    except (ValueError, OverflowError):  # a time that Python has not, as of the year 10000
        values = [_value(scalar) for scalar in column]
    return values if names is None else [named(value, names) for value in values]


def _value(scalar: pa.Scalar) -> object:
    try:
        return plain(scalar.as_py())
    except (ValueError, OverflowError):
        return scalar.cast(pa.string()).as_py()


def _checked_rows(path: Path, source: pa.NativeFile) -> int:
    """The rows of an arrow file, whose batches stand for no more than rows of its size do.

    Raises:
        SoftPromptError: a few bytes stand for many rows or for long texts.
    """
    size, rows = path.stat().st_size, 0
    most = max(limits.UNPACKED, limits.UNPACKED_TIMES * size)
    for batch in unpacked_sizes(source):
        most, rows = most - batch.bytes, rows + batch.rows
        if most < 0:
            raise _unpacks(path, "its batches", "bytes")
        if rows > max(limits.ROWS, limits.ROWS_A_BYTE * size):
            raise _unpacks(path, "its rows", "rows")
    return rows


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
