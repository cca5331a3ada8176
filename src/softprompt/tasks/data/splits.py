"""From a task's records to train, validation and test rows.

Where a labelled test split is published, the published division stands. Where test labels are secret, as in
GLUE and SuperGLUE, the official validation rows are the test rows and 10 % of the training rows validate
(CaPT, Liu et al. 2025, section S1). One file is divided 80 / 10 / 10, and no text stands in two parts of it: what a
model reads of a row decides, up to white space. A published division is kept as published, whatever stands twice.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from pathlib import Path

from softprompt.errors import SoftPromptError
from softprompt.tasks.data import sampling, sources
from softprompt.tasks.data.reader import RecordReader
from softprompt.tasks.data.records import counts_from_one, rows_of_records
from softprompt.tasks.definition import TaskDefinition
from softprompt.tasks.origins import SPLITS
from softprompt.tasks.row_hash import fields_read, row_text
from softprompt.tasks.rows import Row, Splits
from softprompt.tasks.seen import without


@dataclass(frozen=True, slots=True)
class DataSource:
    """What `Task.load` was told of the data.

    Attributes:
        data: a folder or file, or None for the task's package or the hub.
        shots: rows a class to train and to validate on.
        seed: of the draws.
        max_test_rows: at most this many test rows.
        reader: of the files.
    """

    data: Path | None
    shots: int | None = None
    seed: int = 13
    max_test_rows: int | None = None
    reader: RecordReader = field(default_factory=RecordReader, compare=False, repr=False)

    def check(self, task: TaskDefinition) -> None:
        """Raise `SoftPromptError` where the options or the path cannot work; reads no rows."""
        for name, value in (("shots", self.shots), ("max_test_rows", self.max_test_rows)):
            if value is not None and value < 1:
                raise SoftPromptError(f"{name} is {value}; give at least 1, or leave it out for all rows")
        if self.data is not None:
            sources.find(task, self.data, self.seed, self.shots)

    def splits(self, task: TaskDefinition, seed: int, *, few_shot: bool = True) -> Splits:
        """Read, build and divide the rows; without `few_shot` no shots are drawn."""
        shots = self.shots if few_shot else None
        records, divided = sources.records_of(task, self.data, seed, self.shots, self.reader)
        from_one = counts_from_one(task, [record for part in records.values() for record in part])
        rows: dict[str, list[Row]] = {}
        notes: list[str] = []
        for name, part in records.items():
            rows[name], told = rows_of_records(task, part, from_one)
            notes += told
        if not divided or set(rows) == {"train"}:
            splits = _one_file(task, rows["train"], shots, seed, notes)
        else:
            splits = _published(task, rows, shots, seed, notes)
        return replace(self._capped(task, splits), shots=shots, max_test_rows=self.max_test_rows)

    def _capped(self, task: TaskDefinition, splits: Splits) -> Splits:
        return replace(splits, test=sampling.at_most(task, splits.test, self.max_test_rows))


def _published(
    task: TaskDefinition, rows: dict[str, list[Row]], shots: int | None, seed: int, notes: list[str]
) -> Splits:
    train, validation, test = (rows.get(name, []) for name in SPLITS)
    protocol = "published"
    if not test:
        protocol, validation, test = "official validation is test", [], validation
    if train:
        tenth = 0 if validation else _tenth(train)
        train, validation = _divided(task, train, validation, tenth, shots, seed)
    return Splits(train, validation, test, protocol, seed, tuple(notes))


def _one_file(task: TaskDefinition, rows: list[Row], shots: int | None, seed: int, notes: list[str]) -> Splits:
    kept = sampling.distinct(rows)
    if len(kept) < len(rows):
        notes = [*notes, f"{len(rows) - len(kept)} rows with the texts of an earlier row left out"]
    tenth = _tenth(kept)
    rest, test = sampling.take(kept, tenth, sampling.stratum_of(task), f"{seed} test")
    train, validation = _divided(task, rest, [], tenth, shots, seed)
    # After the draws, so that these are the same for a file without such rows.
    parts = {"test": _apart(task, test, rest), "validation": _apart(task, validation, train)}
    fewer = len(test) - len(parts["test"]) + len(validation) - len(parts["validation"])
    if fewer:
        notes = [*notes, f"{fewer} test and validation rows that read like rows of another part left out"]
    return Splits(train, parts["validation"], parts["test"], "one file", seed, tuple(notes))


def _apart(task: TaskDefinition, rows: list[Row], others: list[Row]) -> list[Row]:
    """The rows whose text no other has; a group with such a row is left out whole."""
    fields = fields_read((task.template, *task.templates.values()))
    texts = {row_text(row, fields) for row in others}
    return without(rows, [row_text(row, fields) in texts for row in rows])


def _tenth(rows: list[Row]) -> int:
    if len(rows) < 3:
        raise SoftPromptError(f"{len(rows)} rows cannot be divided to train and to validate; give more rows")
    return max(1, round(len(rows) / 10))


def _divided(
    task: TaskDefinition, train: list[Row], validation: list[Row], count: int, shots: int | None, seed: int
) -> tuple[list[Row], list[Row]]:
    """Rows to train on and to validate on; the latter come from `train` where `validation` has none."""
    stratum = sampling.stratum_of(task)
    if shots is None:
        return (train, validation) if validation else sampling.take(train, count, stratum, f"{seed} validation")
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
