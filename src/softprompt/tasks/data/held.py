"""Tables that a user holds, and folders that `datasets` saved: frames, data sets, arrow tables, lists of mappings."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeGuard

import pyarrow as pa

from softprompt.errors import SoftPromptError, quoted
from softprompt.guards.paths import path_of
from softprompt.tasks.data.arrow import class_names, named, records_of_batches
from softprompt.tasks.data.record import Columns, Record
from softprompt.tasks.values import listed, plain

if TYPE_CHECKING:
    import datasets
    import pandas as pd

_BATCH = 1_000  # rows of a data set that are asked for at once
_SPLITS, _TABLE = "dataset_dict.json", "state.json"  # what `datasets` writes beside the tables of splits, and one


class ArrowTable(Protocol):
    """A table that hands its columns on, as pandas', polars' and arrow's do."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The table as a stream of batches."""


Table: TypeAlias = ArrowTable | Iterable[Mapping[str, object]]


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """Rows that are in memory, or that `datasets` opens: a table, or one for each split.

    Attributes:
        data: of a user.
        origin: its name in messages.
    """

    data: object
    origin: str

    @property
    def splits(self) -> Mapping[str, object] | None:
        """The table of each split, None where there is one table."""
        return self.data if isinstance(self.data, Mapping) else None

    def records(self, columns: Columns, split: str | None = None) -> Iterator[Record]:
        """The records of the table, or of a split's.

        Raises:
            SoftPromptError: it is no table, or has no rows.
        """
        table = self.data if split is None or self.splits is None else self.splits[split]
        origin = self.origin if split is None else f"{self.origin}, {split}"
        found = records_of(table, columns, origin)
        number = 0
        for number, record in enumerate(found, 1):  # noqa: B007
            yield record
        if not number:
            raise SoftPromptError(f"{origin}: no rows; give at least one")


def place_of(given: str | Path | Table | Mapping[str, Table] | None, what: str) -> Path | Held | None:
    """Where a user's rows are: a path, or what is in memory.

    Raises:
        SoftPromptError: it is neither.
    """
    if given is None or isinstance(given, str | bytes | Path):
        return None if given is None else path_of(given, what)
    if is_table(given) or isinstance(given, Iterable):
        return Held(list(given) if isinstance(given, Iterator) else given, what)
    raise SoftPromptError(
        f"{what} is of type {type(given).__name__}: give a path, a list of mappings, a data frame or a data set"
    )


def is_saved(path: Path) -> bool:
    """Whether a folder is one that ``save_to_disk`` of a data set has written."""
    return (path / _SPLITS).is_file() or is_saved_table(path)


def is_saved_table(path: Path) -> bool:
    """Whether such a folder holds one table, and not one for each split."""
    return (path / _TABLE).is_file()


def saved(path: Path) -> Held:
    """A folder that ``save_to_disk`` wrote.

    Raises:
        SoftPromptError: it is damaged.
    """
    import datasets  # slow to import, and most runs read files

    try:
        return Held(datasets.load_from_disk(str(path)), str(path))
    except Exception as error:  # of as many kinds as there are damages
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SoftPromptError(f"{path}: not a data set that can be read ({reason}); save it again") from None


def one_table(place: Path | Held) -> Held | None:
    """A table in memory or in a folder of `datasets`; None for a file.

    Raises:
        SoftPromptError: there is one for each split, or the folder is damaged.
    """
    found = saved(place) if isinstance(place, Path) and is_saved(place) else place
    if isinstance(found, Path):
        return None
    if found.splits is not None:
        names = listed([*found.splits][:12])
        raise SoftPromptError(f"{found.origin}: holds the splits {names}; name the folder or give the table of one")
    return found


def is_table(data: object) -> bool:
    """Whether a value is a table of columns, and not one of texts or mappings row by row."""
    if _is_frame(data) or _is_dataset(data) or _is_streamed(data):
        return True
    return hasattr(data, "__arrow_c_stream__") and not _is(data, "pandas", "Series")


def records_of(table: object, columns: Columns, origin: str) -> Iterator[Record]:
    """The records of a table in memory.

    Raises:
        SoftPromptError: it is none, a column stands twice, or a row is no mapping.
    """
    if _is_frame(table):
        return _of_frame(table, origin)
    if _is_dataset(table):
        return _of_dataset(table, columns, origin)
    if is_table(table) and not _is_streamed(table):
        found = pa.table(table)
        return records_of_batches(found.schema, found.to_batches(), columns, origin)
    if isinstance(table, (str, bytes, Mapping)) or not isinstance(table, Iterable):
        raise SoftPromptError(
            f"{origin}: {quoted(table)} is no table; give a list of mappings, a data frame, a data set or a path"
        )
    names = class_names(table.features.arrow_schema) if _is_streamed(table) and table.features is not None else {}
    return _of_rows(table, {key: of for key, of in names.items() if columns.names_count(of)}, origin)


def _of_rows(rows: Iterable[object], names: Mapping[str, tuple[str, ...]], origin: str) -> Iterator[Record]:
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Mapping):
            raise SoftPromptError(f"{origin}, line {number}: {quoted(row)} is no mapping of values by column")
        values = {str(key): plain(value) for key, value in row.items()}
        values |= {key: named(values[key], of) for key, of in names.items() if key in values}
        yield Record(values, origin, number)


def _of_frame(frame: pd.DataFrame, origin: str) -> Iterator[Record]:
    names = list(map(str, frame.columns))
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SoftPromptError(f"{origin}: column {twice!r} stands twice; keep one")
    cells = (map(plain, frame.iloc[:, place].array) for place in range(len(names)))
    for number, row in enumerate(zip(*cells, strict=True), 1):
        yield Record(dict(zip(names, row, strict=True)), origin, number)


def _of_dataset(dataset: datasets.Dataset, columns: Columns, origin: str) -> Iterator[Record]:
    tables = dataset.with_format("arrow").iter(batch_size=_BATCH)
    batches = (batch for table in tables for batch in table.to_batches())
    return records_of_batches(dataset.features.arrow_schema, batches, columns, origin)


def _is_frame(value: object) -> TypeGuard[pd.DataFrame]:
    return _is(value, "pandas", "DataFrame")


def _is_dataset(value: object) -> TypeGuard[datasets.Dataset]:
    return _is(value, "datasets", "Dataset")


def _is_streamed(value: object) -> TypeGuard[datasets.IterableDataset]:
    return _is(value, "datasets", "IterableDataset")


def _is(value: object, package: str, name: str) -> bool:
    """Whether a value is of a package's class; a package that nobody has imported made no values."""
    kind = getattr(sys.modules.get(package), name, None)
    return isinstance(kind, type) and isinstance(value, kind)
