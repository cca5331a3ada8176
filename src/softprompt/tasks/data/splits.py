"""From a task's records to train, validation and test rows.

Where a labelled test split is published, the published division stands. Where test labels are secret, as in
GLUE and SuperGLUE, the official validation rows are the test rows and 10 % of the training rows validate
(CaPT, Liu et al. 2025, section S1). One file is divided 80 / 10 / 10, and no text stands in two parts of it: what a
model reads of a row decides, up to white space. Of one's own file, rows that few shots leave over are tested on. A
published division is kept as published, whatever stands twice, and so are files that a user gives for single parts.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from numbers import Real
from pathlib import Path
from typing import SupportsIndex

from softprompt.errors import SoftPromptError, quoted
from softprompt.guards.paths import check_file
from softprompt.tasks.data import references, sampling, sources
from softprompt.tasks.data.faults import BadRows
from softprompt.tasks.data.held import Held, is_saved
from softprompt.tasks.data.reader import RecordReader
from softprompt.tasks.data.record import Record
from softprompt.tasks.data.records import counts_from_one, rows_of_records
from softprompt.tasks.definition import TaskDefinition
from softprompt.tasks.origins import SPLITS
from softprompt.tasks.row_hash import fields_read, row_text
from softprompt.tasks.rows import Row, Splits
from softprompt.tasks.seen import without

_GIVEN = "given files"


@dataclass(frozen=True, slots=True)
class DataSource:
    """What `Task.load` was told of the data.

    Attributes:
        data: a folder, a file or tables in memory, or None for the task's package or the hub.
        validation_data: validation rows: a file, or a table in memory.
        test_data: test rows, likewise.
        shots: rows a class to train and to validate on.
        seed: of the draws.
        max_test_rows: at most this many test rows.
        test_size: how much of one file is tested on: a share below 1, or a number of rows.
        skip_bad: leave out (and note) rows that cannot be used, instead of refusing them.
        encoding: of text files; told by their bytes where it is None.
        reader: of the files.
    """

    data: Path | Held | None
    validation_data: Path | Held | None = None
    test_data: Path | Held | None = None
    shots: int | None = None
    seed: int = 13
    max_test_rows: int | None = None
    test_size: float | None = None
    skip_bad: bool = False
    encoding: str | None = None
    reader: RecordReader = field(default_factory=RecordReader, compare=False, repr=False)

    def check(self, task: TaskDefinition) -> None:
        """Raise `SoftPromptError` where the options or the path cannot work; reads no rows."""
        for name, value in (("shots", self.shots), ("max_test_rows", self.max_test_rows)):
            if value is not None and not isinstance(value, SupportsIndex):
                raise SoftPromptError(
                    f"{name} is {quoted(value, 60)}; give a whole number, or leave it out for all rows"
                )
            if value is not None and value < 1:
                raise SoftPromptError(f"{name} is {value}; give at least 1, or leave it out for all rows")
        size = self.test_size
        if size is not None and not isinstance(size, Real):
            raise SoftPromptError(
                f"test_size is {quoted(size, 60)}; give a share between 0 and 1, or a number of rows, as a number"
            )
        if size is not None and not (0 < size < 1 or (size >= 1 and size % 1 == 0)):
            raise SoftPromptError(f"test_size is {size:g}; give a share between 0 and 1, or a number of rows")
        if size is not None and self.test_data is not None:
            raise SoftPromptError("test_size and test_data both say what is tested on: leave one of them out")
        if isinstance(self.data, Path):
            sources.find(task, self.data, self.seed, self.shots)
        for place in self._given().values():
            if isinstance(place, Path) and not is_saved(place):
                check_file(place)

    def places(self) -> dict[str, Path | Held | None]:
        """Where its rows are, by the name of what was told."""
        return {"data": self.data, "validation_data": self.validation_data, "test_data": self.test_data}

    def told(self) -> str:
        """Its rows in short: a file by its name."""
        kinds = {"data": "", "validation_data": "validated on ", "test_data": "tested on "}
        given = {name: place for name, place in self.places().items() if place is not None}
        found = [
            f"{kinds[name]}{place.name if isinstance(place, Path) else 'a table'}" for name, place in given.items()
        ]
        shots = [] if self.shots is None else [f"{self.shots} rows a class to train on"]
        return ", ".join([*(found or ["those of its package or the hub"]), *shots])

    def _given(self) -> dict[str, Path | Held]:
        """The files and tables that were given for single parts."""
        given = {"validation": self.validation_data, "test": self.test_data}
        return {part: place for part, place in given.items() if place is not None}

    def reading_once(self) -> DataSource:
        """The same source, whose files are read once; see `Task.reading_once`."""
        return replace(self, reader=RecordReader(keep=True, encoding=self.encoding))

    def splits(self, task: TaskDefinition, seed: int, *, few_shot: bool = True) -> Splits:
        """Read, build and divide the rows; without `few_shot` no shots are drawn, unless the test rows are the rest."""
        records, divided = sources.records_of(task, self.data, seed, self.shots, self.reader)
        one = not divided or set(records) == {"train"}
        if not one and self.test_size is not None:
            raise SoftPromptError(f"test_size divides one file, and task {task.name!r} comes divided: leave it out")
        given = {part: sources.table(task, place, self.reader) for part, place in self._given().items()}
        if "validation" in given and "validation" in records:
            records.setdefault("test", records["validation"])  # as ever where no test rows are published
        records.update(given)
        rows, notes = self._rows(task, records)
        notes += sources.unread(task, self.data, self.seed, self.shots)
        # What few shots of a package leave over is not all tested on: figures of its tenth are published.
        rest = one and self.data is not None and self.test_size is None and "test" not in rows
        draw = _Draw(task, seed, self.shots if few_shot or rest else None, self.test_size, rest)
        splits = _one_file(draw, rows, notes) if one and len(given) < 2 else _published(draw, rows, notes)
        return replace(
            splits,
            train=references.taught(task, splits.train),
            test=sampling.at_most(task, splits.test, self.max_test_rows),
            protocol=_GIVEN if given else splits.protocol,
            max_test_rows=self.max_test_rows,
            test_size="rest" if rest and draw.shots is not None else self.test_size,
        )

    def _rows(
        self, task: TaskDefinition, records: dict[str, Iterable[Record]]
    ) -> tuple[dict[str, list[Row]], list[str]]:
        """The rows of each part, whose records are let go as they are made, and notes on them."""
        if task.label_from_one:  # which all of them together tell
            records = {name: list(part) for name, part in records.items()}
        from_one = counts_from_one(task, chain.from_iterable(records.values()) if task.label_from_one else ())
        rows: dict[str, list[Row]] = {}
        notes: list[str] = []
        bad = BadRows(skip=self.skip_bad, can_skip=True)
        for name, part in records.items():
            paths: dict[str, None] = {}
            rows[name], told = rows_of_records(task, _from(part, paths), from_one, bad=bad)
            rows[name] = references.gathered(task, rows[name])
            notes += [*(note for path in paths for note in self.reader.notes(path)), *told]
            notes += references.told(task, name, rows[name])
        bad.check()
        return rows, [*notes, *bad.notes()]


def _from(records: Iterable[Record], paths: dict[str, None]) -> Iterator[Record]:
    """The records, and where they are from."""
    for record in records:
        paths[record.path] = None
        yield record


@dataclass(frozen=True, slots=True)
class _Draw:
    """What is drawn of rows.

    Attributes:
        task: whose classes keep their shares.
        seed: of the draws.
        shots: rows a class to train and to validate on, or None for all.
        test_size: how much of one file is tested on, or None for a tenth.
        rest: of one file, all rows are tested on that shots leave over.
    """

    task: TaskDefinition
    seed: int
    shots: int | None
    test_size: float | None
    rest: bool


def _published(draw: _Draw, rows: dict[str, list[Row]], notes: list[str]) -> Splits:
    train, validation, test = (rows.get(name, []) for name in SPLITS)
    protocol = "published"
    if not test:
        protocol, validation, test = "official validation is test", [], validation
    if train:
        tenth = 0 if validation else _tenth(train)
        train, validation = _divided(draw, train, validation, tenth)
    return Splits(train, validation, test, protocol, draw.seed, tuple(notes), draw.shots)


def _one_file(draw: _Draw, rows: dict[str, list[Row]], notes: list[str]) -> Splits:
    """One file divided, beside a file of validation or of test rows where there is one: such rows stay as given."""
    own, validation, test = (rows.get(name) for name in SPLITS)
    assert own is not None
    kept = sampling.distinct(own)
    if len(kept) < len(own):
        notes = [*notes, f"{len(own) - len(kept)} rows with the texts of an earlier row left out"]
    groups = len({row.group for row in kept} - {None})
    if groups:
        notes = [*notes, f"rows of a group (column 'group') stay in one part: {groups} groups"]
    rest, tested = _tested(draw, kept) if test is None else (kept, test)
    train, chosen = _divided(draw, rest, validation or [], _tenth(kept if draw.test_size is None else rest))
    if draw.rest and draw.shots is not None:
        rest = [*train, *chosen]
        used = {row.index for row in (train if validation else rest)}
        tested = without(kept, [row.index in used for row in kept])
    # After the draws, so that these are the same for a file without such rows.
    apart = (
        _apart(draw.task, chosen, train) if validation is None else chosen,
        _apart(draw.task, tested, rest) if test is None else tested,
    )
    fewer = len(chosen) + len(tested) - sum(map(len, apart))
    if fewer:
        notes = [*notes, f"{fewer} test and validation rows that read like rows of another part left out"]
    return Splits(train, *apart, "one file", draw.seed, tuple(notes), draw.shots)


def _tested(draw: _Draw, rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """The rows of one file that are not tested on, and those that are: a tenth, or as much as was asked for."""
    size = draw.test_size
    count = _tenth(rows) if size is None else max(1, round(size * len(rows) if size < 1 else size))
    if size is not None and len(rows) - count < 3:
        raise SoftPromptError(
            f"{len(rows)} rows cannot be divided to train, to validate and to test on {count}; give more rows, or "
            "a smaller test_size"
        )
    return sampling.divide(rows, count, sampling.stratum_of(draw.task), f"{draw.seed} test")


def _apart(task: TaskDefinition, rows: list[Row], others: list[Row]) -> list[Row]:
    """The rows whose text no other has; a group with such a row is left out whole."""
    fields = fields_read((task.template, *task.templates.values()))
    own = [row_text(row, fields) for row in rows]
    known = set(own)  # which are few beside the others, of which no text is kept
    texts = {text for row in others if (text := row_text(row, fields)) in known}
    return without(rows, [text in texts for text in own])


def _tenth(rows: list[Row]) -> int:
    if len(rows) < 3:
        raise SoftPromptError(f"{len(rows)} rows cannot be divided to train and to validate; give more rows")
    return max(1, round(len(rows) / 10))


def _divided(draw: _Draw, train: list[Row], validation: list[Row], count: int) -> tuple[list[Row], list[Row]]:
    """Rows to train on and to validate on; the latter come from `train` where `validation` has none."""
    task, shots, seed = draw.task, draw.shots, draw.seed
    stratum = sampling.stratum_of(task)
    if shots is None:
        return (train, validation) if validation else sampling.divide(train, count, stratum, f"{seed} validation")
    if validation:
        _, few = sampling.draw_shots(train, shots, stratum, f"{seed} shots", _named(task, "training"))
        _, chosen = sampling.draw_shots(validation, shots, stratum, f"{seed} shots", _named(task, "validation"))
        return few, chosen
    # Twice as many first, so that a class with too few rows for both is told before either is drawn.
    _, both = sampling.draw_shots(train, 2 * shots, stratum, f"{seed} shots", _named(task, "training and validation"))
    return sampling.draw_shots(both, shots, stratum, f"{seed} validation shots", _named(task, "validation"))


def _named(task: TaskDefinition, part: str) -> Callable[[Hashable], str]:
    def name(key: Hashable) -> str:
        of_class = f" of class {task.label_values[key]!r}" if isinstance(key, int) and task.labels else ""
        return f"task {task.name!r}: what there is for {part}{of_class}"

    return name
