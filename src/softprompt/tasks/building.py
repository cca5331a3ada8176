"""Records into rows: columns to fields, label values to class indices, and everything wrong with them told."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from softprompt.errors import SoftPromptError
from softprompt.tasks import files
from softprompt.tasks.files import Columns, Record
from softprompt.tasks.layouts import LAYOUTS
from softprompt.tasks.rows import Row

if TYPE_CHECKING:
    from softprompt.tasks.task import Task

_CONTENT = ("label", "choices", "answers", "group")


def columns_of(task: Task) -> Columns:
    """What the reader of csv and tsv files needs to know."""
    names = (name for key in (*task.fields, *_CONTENT) for name in _names(task, key))
    headerless = task.headerless or ("label", *task.fields)
    return Columns(frozenset((*names, *task.headerless)), headerless, lambda cell: _is_label(task, cell))


def labelled(task: Task, record: Record) -> bool:
    """Whether a record carries an answer; published test files often do not."""
    flat = next(_flat(task, record), None)
    return flat is not None and _raw_label(task, flat) is not None


def build(task: Task, records: Sequence[Record], from_one: bool, with_labels: bool = True) -> tuple[list[Row], list[str]]:
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
            if None in fields.values():
                counts["rows with missing columns left out"] += 1
                continue
            texts = {name: text for name, text in fields.items() if text is not None}
            if not any(text.strip() for text in texts.values()):
                if not task.blank_text:
                    raise SoftPromptError(f"{record.place}: the row has no text in {_listed(task.fields)}; fill it in or take the line out")
                counts["rows without text kept"] += 1
            if with_labels and raw is None:
                raise SoftPromptError(f"{record.place}: no label in column {_listed(_names(task, 'label'))}; fill it in")
            rows.append(_row(task, texts, flat, raw, from_one, len(rows), record.place))
    if not rows:
        raise SoftPromptError(f"{records[0].path}: no row of the file can be used; check its labels and columns")
    name = Path(records[0].path).name
    return rows, [f"{name}: {count} {what}" for what, count in counts.items()]


def counts_from_one(task: Task, records: Sequence[Record]) -> bool:
    """Whether the classes of files that may count from 0 or from 1 count from 1.

    Raises:
        SoftPromptError: the values fit both ways or neither.
    """
    if not task.label_from_one:
        return False
    values = {label_text(raw) for record in records for flat in _flat(task, record) if (raw := _raw_label(task, flat)) is not None}
    low, high = "0" in values, str(len(task.labels)) in values
    if low and high:
        raise SoftPromptError(f"{records[0].path}: labels from 0 to {len(task.labels)}, but {task.name} has {len(task.labels)} classes")
    if not low and not high and any(value in task.labels for value in values):
        raise SoftPromptError(
            f"{records[0].path}: labels {', '.join(sorted(values))} may count from 0 or from 1; give rows of every class"
        )
    return high


def rows_of_file(task: Task, path: Path) -> list[Row]:
    """Rows to predict; one text a line where a text file has no header and the task one field."""
    columns = columns_of(task)
    if path.suffix == ".txt" and len(task.fields) == 1:
        lines = [line.removesuffix("\r") for line in files.read_text(path).split("\n")]
        if lines and not columns.known & {cell.strip() for cell in lines[0].split("\t")}:
            return rows_of_values(task, [line for line in lines if line.strip()], str(path))
    return build(task, files.read(path, columns), from_one=False, with_labels=False)[0]


def rows_of_values(task: Task, values: Sequence[str | Mapping[str, Any]], origin: str = "rows") -> list[Row]:
    """Rows of Python values."""
    if not values:
        raise SoftPromptError(f"{origin}: no rows; give at least one text")
    records = []
    for number, value in enumerate(values, 1):
        if isinstance(value, str):
            if len(task.fields) != 1:
                raise SoftPromptError(
                    f"{origin}, line {number}: a plain text, but task {task.name!r} has the fields "
                    f"{_listed(task.fields)}; give them by name"
                )
            value = {task.fields[0]: value}
        records.append(Record(dict(value), origin, number))
    return [_one(task, record, index) for index, record in enumerate(records)]


def _one(task: Task, record: Record, index: int) -> Row:
    rows, _ = build(task, [record], from_one=False, with_labels=labelled(task, record))
    row = rows[0]
    return Row(row.fields, row.label, row.choices, row.group, index, row.answers)


def label_text(value: Any) -> str:
    """A label value as text: JSON's true and false, and whole numbers without a decimal point."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


# -- one record ------------------------------------------------------------------------------------------


def _flat(task: Task, record: Record) -> Iterator[dict[str, Any]]:
    try:
        yield from LAYOUTS[task.layout](record.values)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        what = f"{error.args[0]!r} is missing or has another value" if isinstance(error, KeyError) else str(error)
        raise SoftPromptError(f"{record.place}: not in the layout of {task.name}: {what}") from None


def _names(task: Task, key: str) -> tuple[str, ...]:
    return (*task.columns.get(key, ()), key)


def _find(task: Task, flat: Mapping[str, Any], key: str) -> Any:
    return next((flat[name] for name in _names(task, key) if name in flat), None)


def _text(task: Task, flat: Mapping[str, Any], key: str, record: Record) -> str | None:
    value = _find(task, flat, key)
    if isinstance(value, str):
        return value
    if isinstance(value, (int, float)):
        return label_text(value)
    if value is None and task.skip_incomplete:
        return None
    if value is None:
        raise SoftPromptError(
            f"{record.place}: no column {_listed(_names(task, key))} for the field {key!r}; found {_listed(tuple(flat)[:12])}"
        )
    raise SoftPromptError(f"{record.place}: the field {key!r} holds {type(value).__name__}, not text")


def _raw_label(task: Task, flat: Mapping[str, Any]) -> Any:
    """The label's value in the file, None where there is none."""
    answers = _find(task, flat, "answers")
    if answers is not None and task.kind in ("choice", "generation"):
        return answers or None
    value = _find(task, flat, "label")
    if value is None or label_text(value) == "":
        return None
    # The hub writes -1 where an answer is secret.
    known = label_text(value) != "-1" or "-1" in task.labels or task.kind == "generation"
    inside = task.kind == "regression" and (task.bounds is None or task.bounds[0] <= -1)
    return value if known or inside else None


def _skipped(task: Task, flat: Mapping[str, Any]) -> bool:
    value = _find(task, flat, "label")
    return value is not None and label_text(value) in task.skip_labels


def _is_label(task: Task, cell: str) -> bool:
    if task.kind == "regression":
        return _number(cell) is not None
    if task.label_from_one and cell.strip() == str(len(task.labels)):
        return True
    return label_text(cell) in task.labels or label_text(cell) in task.label_aliases


def _row(
    task: Task, texts: dict[str, str], flat: Mapping[str, Any], raw: Any, from_one: bool, index: int, place: str
) -> Row:
    group = _find(task, flat, "group")
    choices = _choices(task, flat, place)
    label, answers = _answer(task, raw, choices, from_one, place)
    return Row(texts, label, choices, None if group is None else str(group), index, answers)


def _choices(task: Task, flat: Mapping[str, Any], place: str) -> tuple[str, ...] | None:
    if task.kind != "choice":
        return None
    choices = _find(task, flat, "choices")
    if not isinstance(choices, (list, tuple)) or len(choices) < 2:
        raise SoftPromptError(f"{place}: a choice task needs a column 'choices' with a list of at least two texts")
    return tuple(map(str, choices))


def _answer(
    task: Task, raw: Any, choices: tuple[str, ...] | None, from_one: bool, place: str
) -> tuple[int | float | str | None, tuple[str, ...]]:
    """The row's label and the texts of its right answers."""
    if raw is None:
        return None, ()
    if task.kind == "generation":
        answers = tuple(map(str, raw)) if isinstance(raw, (list, tuple)) else (str(raw),)
        return answers[0], answers
    if task.kind == "regression":
        return _value(task, raw, place), ()
    if choices is None:
        return _class(task, raw, from_one, place), ()
    if isinstance(raw, (list, tuple)):
        right = [index for index, choice in enumerate(choices) if choice in raw]
        if not right:
            raise SoftPromptError(f"{place}: none of the right answers {_listed(tuple(raw))} is one of the choices")
        return right[0], tuple(map(str, raw))
    text = label_text(raw)
    if not (text.isdecimal() and int(text) < len(choices)):
        raise SoftPromptError(f"{place}: label {text!r} is no index into the row's {len(choices)} choices, which count from 0")
    return int(text), (choices[int(text)],)


def _class(task: Task, raw: Any, from_one: bool, place: str) -> int:
    text = label_text(raw)
    if from_one and text.isdecimal():
        text = str(int(text) - 1)
    value = text if text in task.labels else task.label_aliases.get(text)
    if value is None:
        raise SoftPromptError(f"{place}: label {label_text(raw)!r} is not one of {_listed(task.label_values)}; mend the row or the task's labels")
    return task.label_values.index(value)


def _value(task: Task, raw: Any, place: str) -> float:
    value = _number(raw)
    low, high = task.bounds or (-math.inf, math.inf)
    if value is None or not low <= value <= high:
        raise SoftPromptError(f"{place}: label {str(raw)!r} is no number from {low:g} to {high:g}")
    return value


def _number(raw: Any) -> float | None:
    try:
        value = float(raw)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _listed(names: Sequence[Any]) -> str:
    return " or ".join(map(repr, names)) if len(names) < 3 else ", ".join(map(repr, names))
