"""One row of a flat record: which columns hold its fields, its choices and its answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from softprompt.errors import quoted
from softprompt.guards import limits
from softprompt.tasks.data.faults import RowFault
from softprompt.tasks.data.labels import answer_of
from softprompt.tasks.data.layouts import RIGHT
from softprompt.tasks.data.record import Record
from softprompt.tasks.data.several import cell_of, texts_of
from softprompt.tasks.data.tagged import each_of
from softprompt.tasks.definition import TaskDefinition
from softprompt.tasks.rows import Row
from softprompt.tasks.values import field_text, find_label, index_text, label_text, listed, meant, several

Flat: TypeAlias = Mapping[str, object]
_ANSWERED = ("choice", "generation", "extraction", "fact")  # kinds whose rows have right answers, as texts


def names_of(task: TaskDefinition, key: str) -> tuple[str, ...]:
    """The columns that may hold a field, ``label``, ``choices``, ``answers`` or ``group``."""
    return (*task.columns.get(key, ()), key)


def raw_label(task: TaskDefinition, flat: Flat) -> object:
    """The label's value in the file, the texts of the right answers or the words' tags as a tuple, or None.

    Raises:
        RowFault: a list, a mapping or bytes where one value should be, or where no texts are found in it.
    """
    if task.kind in _ANSWERED:
        answers = cell_of(value_of(task, flat, "answers"), "'answers'")
        if answers is not None:
            found = texts_of(answers, "'answers'")
            return None if found in ((), ("",)) else found
        if task.kind == "extraction":
            return None
    value = value_of(task, flat, "label")
    if task.kind == "tags":
        return None if value is None else each_of(value, "the tags") or None
    kind = several(value)
    if kind is not None and task.kind in ("generation", "fact"):
        return texts_of(value, "the label") or None
    if kind is not None:
        raise RowFault(f"the label {quoted(value, 60)} is {kind}", "give one value a row")
    text = "" if value is None else label_text(value)
    if not text:
        return None
    # The hub writes -1 where an answer is secret.
    known = not text.startswith("-1") or index_text(text) != "-1" or find_label(text, task.labels) is not None
    inside = task.kind == "regression" and (task.bounds is None or task.bounds[0] <= -1)
    return value if known or inside or task.kind in ("generation", "fact") else None


def is_skipped(task: TaskDefinition, flat: Flat) -> bool:
    """Whether the published file marks the row as one without an agreed label."""
    value = value_of(task, flat, "label") if task.skip_labels else None
    return value is not None and several(value) is None and find_label(value, task.skip_labels) is not None


def texts_by_field(task: TaskDefinition, flat: Flat, place: str) -> dict[str, str] | None:
    """The row's texts; None where columns are missing and the task leaves such rows out.

    Raises:
        RowFault: a field without a column, or with another value than a text.
    """
    found = {}
    for name in task.fields:
        text = _text(task, flat, name, place)
        if text is None:
            return None
        found[name] = text
    if not any(text.strip() for text in found.values()) and not task.blank_text:
        raise RowFault(f"no text in {listed(task.fields)}", "fill it in or delete the row")
    return found


def row_of(
    task: TaskDefinition, texts: dict[str, str], flat: Flat, raw: object, from_one: bool, record: Record, index: int
) -> Row:
    """The row.

    Args:
        task: says what a label is.
        texts: of its fields.
        flat: what the record holds of it.
        raw: what `raw_label` gave.
        from_one: classes count from 1.
        record: it stands in.
        index: of the row in its file.

    Raises:
        RowFault: choices that are none, or a label that is none.
    """
    group = value_of(task, flat, "group")
    choices, names = _choices(task, flat, record.place)
    if names and not isinstance(raw, tuple) and label_text(raw) in names:
        raw = names.index(label_text(raw))
    label, answers = answer_of(task, raw, choices, from_one)
    if task.layout == "wsc_phrase" and flat.get(RIGHT) is False:
        answers = ()
    for answer in answers:
        limits.check_text(answer, record.place)
    own = None if group in (None, "") else str(group)  # as csv writes what is missing
    part = str(flat.get("part") or "") if task.layout == "webnlg" else ""
    return Row(texts, label, choices, own, index, answers, part=part, file=record.path, line=record.line)


def no_label(task: TaskDefinition, flat: Flat) -> RowFault:
    """What is wrong with a row that has no label and needs one."""
    names = (*names_of(task, "label"), *(names_of(task, "answers") if task.kind in _ANSWERED else ()))
    there = tuple(name for name in names if name in flat)
    if there:
        return RowFault(f"the row has no label in column {listed(there)}", "fill it in or delete it")
    return _no_column(names_of(task, "label"), "the label", flat)


def value_of(task: TaskDefinition, flat: Flat, key: str) -> object:
    """What the first of the columns of a key holds that is there; None where none is."""
    for name in task.columns.get(key, ()):
        if name in flat:
            return flat[name]
    return flat.get(key)


def _text(task: TaskDefinition, flat: Flat, key: str, place: str) -> str | None:
    value = value_of(task, flat, key)
    if isinstance(value, str):
        limits.check_text(value, place)
        return value
    if isinstance(value, (int, float)):
        return field_text(value)
    if value is None and task.skip_incomplete:
        return None
    if value is None and any(name in flat for name in names_of(task, key)):
        return ""  # as csv writes what is missing
    if value is None:
        raise _no_column(names_of(task, key), f"the field {key!r}", flat)
    kind = several(value) or type(value).__name__
    raise RowFault(f"the field {key!r} is {kind}, not one text", "join its parts to one text in the file")


def _no_column(names: tuple[str, ...], what: str, flat: Flat) -> RowFault:
    others = tuple(name for name in flat if name not in names)
    near = next((name for name in (meant(name, others) for name in names) if name is not None), None)
    hint = f" (did you mean {near!r}?)" if near is not None else ""
    mend = f"rename the column, or add it to the task's columns as {names[-1]}: {near}" if near is not None else ""
    return RowFault(f"no column {listed(names)} for {what}{hint}; found {listed(tuple(flat)[:12])}", mend)


def _choices(task: TaskDefinition, flat: Flat, place: str) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """The texts of a row's choices, and the names that the file gives them, as ARC's A to D."""
    if task.kind != "choice":
        return None, ()
    choices = cell_of(value_of(task, flat, "choices"), "'choices'")
    texts = texts_of(choices, "'choices'") if several(choices) is not None else ()
    if isinstance(choices, (list, tuple)) and len(texts) != len(choices):
        raise RowFault("'choices' has lists in it that are not one text each", "give one text a choice")
    if len(texts) < 2:
        raise RowFault("a choice task needs a column 'choices' with a list of at least two texts")
    limits.check(len(texts), limits.CHOICES, "choices in one row", place)
    for text in texts:
        limits.check_text(text, place)
    names = choices.get("label") if isinstance(choices, Mapping) else None
    own = texts_of(names, "the names of the choices") if names is not None else ()
    return texts, own if len(own) == len(texts) else ()
