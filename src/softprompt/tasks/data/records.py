"""Records into rows: columns to fields, label values to class indices, faults told with their place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from softprompt.errors import SoftPromptError, quoted
from softprompt.guards import limits
from softprompt.tasks.data import files, held
from softprompt.tasks.data.labels import answer_of, is_label
from softprompt.tasks.data.layouts import LAYOUTS
from softprompt.tasks.data.record import Columns, Record
from softprompt.tasks.definition import TaskDefinition
from softprompt.tasks.rows import Row
from softprompt.tasks.values import field_text, find_label, index_text, label_text, listed, plain

_CONTENT = ("label", "choices", "answers", "group")


def columns_of(task: TaskDefinition) -> Columns:
    """What the reader of csv and tsv files needs to know."""
    names = (name for key in (*task.fields, *_CONTENT) for name in _names(task, key))
    headerless = task.headerless or ("label", *task.fields)
    return Columns(frozenset((*names, *task.headerless)), headerless, _LabelsOf(task))


@dataclass(frozen=True, slots=True)
class _LabelsOf:
    """Whether a cell is a label value of the task; two of equal tasks are equal."""

    task: TaskDefinition

    def __call__(self, cell: str) -> bool:
        return is_label(self.task, cell)


def has_answer(task: TaskDefinition, record: Record) -> bool:
    """Whether a record carries an answer; published test files often do not."""
    flat = next(_flat(task, record), None)
    return flat is not None and _raw_label(task, flat) is not None


def rows_of_records(
    task: TaskDefinition, records: Sequence[Record], from_one: bool, with_labels: bool = True
) -> tuple[list[Row], list[str]]:
    """Rows of a file's records, and notes on rows that were left out or have no text.

    Args:
        task: says which columns and labels there are.
        records: of one file.
        from_one: the file's classes count from 1.
        with_labels: labels must be there; without, they are not looked at.

    Raises:
        SoftPromptError: file, line and column of the first fault.
    """
    rows: list[Row] = []
    counts: Counter[str] = Counter()
    for record in records:
        for flat in _flat(task, record):
            raw = _raw_label(task, flat) if with_labels else None
            if with_labels and _skipped(task, flat):
                counts["rows without an agreed label left out"] += 1
                continue
            fields = {name: _text(task, flat, name, record) for name in task.fields}
            incomplete = None in fields.values() or (with_labels and raw is None and task.skip_incomplete)
            if incomplete:
                counts["rows with missing columns left out"] += 1
                continue
            texts = {name: text for name, text in fields.items() if text is not None}
            if not any(text.strip() for text in texts.values()):
                if not task.blank_text:
                    raise SoftPromptError(
                        f"{record.place}: no text in {listed(task.fields)}; fill it in or delete the row"
                    )
                counts["rows without text kept"] += 1
            if with_labels and raw is None:
                raise SoftPromptError(_no_label(task, flat, record))
            rows.append(_row(task, texts, flat, raw, from_one, len(rows), record.place))
    if not rows:
        raise SoftPromptError(f"{records[0].path}: no row of the file can be used; check its labels and columns")
    name = Path(records[0].path).name
    return rows, [f"{name}: {count} {what}" for what, count in counts.items()]


def counts_from_one(task: TaskDefinition, records: Sequence[Record]) -> bool:
    """Whether the classes of files that may count from 0 or from 1 count from 1.

    Raises:
        SoftPromptError: the values fit both ways or neither.
    """
    if not task.label_from_one:
        return False
    values = {
        index_text(raw)
        for record in records
        for flat in _flat(task, record)
        if (raw := _raw_label(task, flat)) is not None
    }
    low, high = "0" in values, str(len(task.labels)) in values
    if low and high:
        raise SoftPromptError(f"{records[0].path}: labels from 0 to {len(task.labels)} are too many; mend the labels")
    if not low and not high and any(value in task.labels for value in values):
        raise SoftPromptError(
            f"{records[0].path}: labels {', '.join(sorted(values))} may count from 0 or from 1; "
            "give rows of every class"
        )
    return high


def labelled_rows(task: TaskDefinition, path: Path) -> list[Row]:
    """All rows of one file with their labels, as they stand."""
    found = read_table(path, columns_of(task))
    return rows_of_records(task, found, counts_from_one(task, found))[0]


def read_table(path: Path, columns: Columns) -> list[Record]:
    """The records of a file, or of a data set's folder."""
    table = held.one_table(path)
    return files.read_records(path, columns) if table is None else list(table.records(columns))


def rows_of_values(
    task: TaskDefinition, values: held.Table | Iterable[str | Mapping[str, object]], origin: str = "rows"
) -> list[Row]:
    """Rows of Python values.

    Raises:
        SoftPromptError: there are none, or one has a fault.
    """
    if held.is_table(values):
        records = list(held.records_of(values, columns_of(task), origin))
    elif isinstance(values, Iterable) and not isinstance(values, (str, bytes, Mapping)):
        records = [_record_of(task, value, origin, number) for number, value in enumerate(values, 1)]
    else:
        raise SoftPromptError(
            f"{origin}: {quoted(values)} is one value; give a list of them, as [{quoted(values, 40)}]"
        )
    if not records:
        raise SoftPromptError(f"{origin}: no rows; give at least one text")
    return [_one(task, record, index) for index, record in enumerate(records)]


def _record_of(task: TaskDefinition, value: object, origin: str, number: int) -> Record:
    if isinstance(value, str):
        if len(task.fields) != 1:
            raise SoftPromptError(
                f"{origin}, line {number}: a plain text, but task {task.name!r} has the fields "
                f"{listed(task.fields)}; give them by name"
            )
        return Record({task.fields[0]: value}, origin, number)
    if not isinstance(value, Mapping):
        raise SoftPromptError(f"{origin}, line {number}: {quoted(value)} is no text, and no mapping of texts by field")
    return Record({key: plain(cell) for key, cell in value.items()}, origin, number)


def _one(task: TaskDefinition, record: Record, index: int) -> Row:
    rows, _ = rows_of_records(task, [record], from_one=False, with_labels=has_answer(task, record))
    row = rows[0]
    return Row(row.fields, row.label, row.choices, row.group, index, row.answers)


# -- one record ------------------------------------------------------------------------------------------


def _flat(task: TaskDefinition, record: Record) -> Iterator[Mapping[str, object]]:
    try:
        yield from LAYOUTS[task.layout](record.values)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        what = f"{error.args[0]!r} is missing or has another value" if isinstance(error, KeyError) else str(error)
        raise SoftPromptError(f"{record.place}: not in the layout of {task.name}: {what}") from None


def without_text(task: TaskDefinition, record: Record) -> bool:
    """Whether a record has the columns of the fields, and nothing in them."""
    for flat in _flat(task, record):
        for key in task.fields:
            there = any(name in flat for name in _names(task, key))
            value = _find(task, flat, key)
            if not there or not (value is None or (isinstance(value, str) and not value.strip())):
                return False
    return True


def _names(task: TaskDefinition, key: str) -> tuple[str, ...]:
    return (*task.columns.get(key, ()), key)


def _find(task: TaskDefinition, flat: Mapping[str, object], key: str) -> object:
    return next((flat[name] for name in _names(task, key) if name in flat), None)


def _text(task: TaskDefinition, flat: Mapping[str, object], key: str, record: Record) -> str | None:
    value = _find(task, flat, key)
    if isinstance(value, str):
        limits.check_text(value, record.place)
        return value
    if isinstance(value, (int, float)):
        return field_text(value)
    if value is None and task.skip_incomplete:
        return None
    if value is None and any(name in flat for name in _names(task, key)):
        return ""  # as csv writes what is missing
    if value is None:
        raise SoftPromptError(
            f"{record.place}: no column {listed(_names(task, key))} for the field {key!r}; "
            f"found {listed(tuple(flat)[:12])}"
        )
    raise SoftPromptError(f"{record.place}: the field {key!r} holds {type(value).__name__}, not text")


def _no_label(task: TaskDefinition, flat: Mapping[str, object], record: Record) -> str:
    names = _names(task, "label")
    if any(name in flat for name in names):
        return f"{record.place}: the row has no label in column {listed(names)}; fill it in or delete it"
    return f"{record.place}: no column {listed(names)} for the label; found {listed(tuple(flat)[:12])}"


def _raw_label(task: TaskDefinition, flat: Mapping[str, object]) -> object:
    """The label's value in the file, None where there is none."""
    answers = _find(task, flat, "answers")
    if answers is not None and task.kind in ("choice", "generation"):
        return answers or None
    value = _find(task, flat, "label")
    text = "" if value is None else label_text(value)
    if not text:
        return None
    # The hub writes -1 where an answer is secret.
    known = not text.startswith("-1") or index_text(text) != "-1" or find_label(text, task.labels) is not None
    inside = task.kind == "regression" and (task.bounds is None or task.bounds[0] <= -1)
    return value if known or inside or task.kind == "generation" else None


def _skipped(task: TaskDefinition, flat: Mapping[str, object]) -> bool:
    value = _find(task, flat, "label") if task.skip_labels else None
    return value is not None and find_label(value, task.skip_labels) is not None


def _row(
    task: TaskDefinition,
    texts: dict[str, str],
    flat: Mapping[str, object],
    raw: object,
    from_one: bool,
    index: int,
    place: str,
) -> Row:
    group = _find(task, flat, "group")
    choices = _choices(task, flat, place)
    label, answers = answer_of(task, raw, choices, from_one, place)
    return Row(texts, label, choices, None if group is None else str(group), index, answers)


def _choices(task: TaskDefinition, flat: Mapping[str, object], place: str) -> tuple[str, ...] | None:
    if task.kind != "choice":
        return None
    choices = _find(task, flat, "choices")
    if not isinstance(choices, (list, tuple)) or len(choices) < 2:
        raise SoftPromptError(f"{place}: a choice task needs a column 'choices' with a list of at least two texts")
    limits.check(len(choices), limits.CHOICES, "choices in one row", place)
    texts = tuple(map(str, choices))
    for text in texts:
        limits.check_text(text, place)
    return texts
