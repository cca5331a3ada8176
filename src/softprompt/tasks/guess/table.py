"""The tables of a place whose columns nobody has named: its files or splits, and what stands in their columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from softprompt.errors import SoftPromptError
from softprompt.tasks.data.conll import is_conll
from softprompt.tasks.data.files import each_cells, each_record, ending_of, is_cells
from softprompt.tasks.data.held import Held, is_saved, saved
from softprompt.tasks.data.record import Columns, TaggedColumns
from softprompt.tasks.data.sources import STEMS, find, split_files
from softprompt.tasks.definition import TaskDefinition
from softprompt.tasks.guess.names import known
from softprompt.tasks.guess.profile import Profile
from softprompt.tasks.spans import is_span_tag
from softprompt.tasks.values import label_text

Values = Mapping[str, object]
_AHEAD = 200  # rows that tell whether the first line is a header
_SENTENCE = 6  # words that no column is called by
# A schema's names of classes say more than their numbers: every value counts as a label.
_ANY = Columns(frozenset(), (), lambda cell: True)
_TAGGED = Columns(frozenset(), (), is_span_tag, TaggedColumns())
_NO_WORDS = (".csv", ".json", ".xlsx", ".parquet", ".arrow", ".feather")  # files that have no word a line
# What is found without knowing what the task is called: the usual names of files alone.
_NOTHING = TaskDefinition(name="guessed", template="{text}", labels=("a", "b"))


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        origin: of it, for messages.
        headerless: the file has no line of names, and its columns are called `column1` and so on.
        rows: gives its rows.
    """

    origin: str
    headerless: bool
    rows: Callable[[], Iterator[Values]]

    def profiles(self) -> dict[str, Profile]:
        """What stands in each column; the table is read once and never held.

        Raises:
            SoftPromptError: it cannot be read, or has no rows.
        """
        found: dict[str, Profile] = {}
        count = 0
        for values in self.rows():
            for name, value in values.items():
                if name not in found:  # which earlier rows left out
                    found[name] = Profile(name, rows=count)
                found[name].see(value)
            count += 1
        if not count:
            raise SoftPromptError(f"{self.origin}: no rows under its header; give one row a line")
        for one in found.values():
            one.rows = count
        return found


def tables(place: Path | Held, seed: int, shots: int | None, encoding: str | None = None) -> dict[str, list[Table]]:
    """The tables of a place by split; one file, or one table, is to train on.

    Args:
        place: a file, a folder, or tables in memory.
        seed: of the few-shot folder to take.
        shots: likewise.
        encoding: of text files.

    Raises:
        SoftPromptError: there is nothing there, or no rows to train on.
    """
    if isinstance(place, Path):
        path = find(_NOTHING, place, seed, shots)
        if path.is_file():
            return {"train": [_of_file(path, encoding)]}
        if not is_saved(path):
            found = {
                str(split): [_of_file(one, encoding) for one in split_files(_NOTHING, path, split)] for split in STEMS
            }
            return _with_training(found, path)
        place = saved(path)
    splits = place.splits
    if splits is None:
        return {"train": [_of_held(place, None)]}
    names = {split: next((name for name in stems if name in splits), None) for split, stems in STEMS.items()}
    return _with_training({split: [_of_held(place, name)] for split, name in names.items() if name}, place.origin)


def _with_training(found: dict[str, list[Table]], place: object) -> dict[str, list[Table]]:
    if not found.get("train"):
        raise SoftPromptError(f"{place}: no rows to train on: name one file, or one of the files train.csv")
    return found


def _of_held(place: Held, split: str | None) -> Table:
    origin = place.origin if split is None else f"{place.origin}, {split}"
    return Table(origin, False, lambda: (record.values for record in place.records(_ANY, split)))


def _of_file(path: Path, encoding: str | None) -> Table:
    tagged = not ending_of(path).startswith(_NO_WORDS) and is_conll(path, is_span_tag, encoding)
    if tagged or not is_cells(path):
        columns = _TAGGED if tagged else _ANY
        return Table(
            str(path), False, lambda: (record.values for record in each_record(path, columns, encoding=encoding))
        )
    first = list(islice(_lines(path, encoding), _AHEAD + 1))
    if not first:
        raise SoftPromptError(f"{path}: the file has no rows; give one row a line")
    begin, *ahead = first
    headerless = not is_header(begin, ahead)
    names = [f"column{place}" for place in range(1, len(begin) + 1)] if headerless else begin

    def rows() -> Iterator[Values]:
        for cells in _lines(path, encoding):
            if headerless or cells != begin:  # which stands again where files were put together
                yield dict(zip(names, cells, strict=False))

    return Table(str(path), headerless, rows)


def _lines(path: Path, encoding: str | None) -> Iterator[list[str]]:
    for _, cells in each_cells(path, _fits, encoding):
        if cells:
            yield ["" if cell is None else label_text(cell) for cell in cells]


def _fits(cells: Sequence[str]) -> int:
    """How well a first line's cells fit: how many are names that tables have, and then whether there are several."""
    return 2 * sum(map(known, cells)) + (len(cells) > 1)


def is_header(first: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether a table's first line names its columns, and is no row.

    Names that tables have, all of them, are a header. What stands in the same column again is a row, though one be such
    a name ("spam"). Otherwise one such name makes a header, and what reads like a sentence, or is a number among
    numbers, is a row.

    Args:
        first: its cells.
        rows: that follow.
    """
    columns = [Profile("") for _ in first]
    for place, below in enumerate(columns):
        for row in rows:
            if row != first:  # a header that stands twice, as where files were put together
                below.see(row[place] if place < len(row) else None)
    if all(map(known, first)):  # also where a text reads as its column is called
        return True
    if any(cell and cell in below.labels for cell, below in zip(first, columns, strict=True)):
        return False
    if any(map(known, first)):
        return True
    if any(len(cell.split()) >= _SENTENCE for cell in first):
        return False
    return not any(_is_number(cell) and below.is_all("number") for cell, below in zip(first, columns, strict=True))


def _is_number(cell: str) -> bool:
    one = Profile("")
    one.see(cell)
    return one.is_all("number")
