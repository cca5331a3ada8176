"""Label values of files as the task knows them."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import SupportsFloat, SupportsIndex

from softprompt.errors import quoted
from softprompt.tasks.data.faults import RowFault
from softprompt.tasks.definition import TaskDefinition
from softprompt.tasks.rows import Label
from softprompt.tasks.values import find_label, index_text, label_text, listed, meant

_SHOWN = 12  # labels that a message lists


def is_label(task: TaskDefinition, cell: str) -> bool:
    """Whether a cell of a table is a label value of the task."""
    if task.kind == "regression":
        return _number(cell) is not None
    if task.label_from_one and index_text(cell) == str(len(task.labels)):
        return True
    return find_label(cell, task.labels, task.label_aliases) is not None


def answer_of(
    task: TaskDefinition, raw: object, choices: tuple[str, ...] | None, from_one: bool
) -> tuple[Label | None, tuple[str, ...]]:
    """The row's label and the texts of its right answers.

    Args:
        task: says what a label is.
        raw: the value in the file, or a tuple of the answers' texts, or of the words' tags.
        choices: of the row, in a choice task.
        from_one: classes count from 1.

    Raises:
        RowFault: it is no label of the task.
    """
    if raw is None:
        return None, ()
    if task.kind in ("generation", "fact"):
        answers = raw if isinstance(raw, tuple) else (str(raw),)
        if not answers[0].strip():
            raise RowFault("the answer is empty", "fill it in or delete the row")
        return answers[0], answers
    if task.kind == "regression":
        return _value(task, raw), ()
    if task.kind == "tags":
        assert isinstance(raw, tuple)
        known = {tag: _class(task, tag, from_one) for tag in dict.fromkeys(raw)}
        return tuple(known[tag] for tag in raw), ()
    if choices is None:
        return _class(task, raw, from_one), ()
    if isinstance(raw, tuple):
        right = [index for index, choice in enumerate(choices) if choice in raw]
        if not right:
            raise RowFault(f"none of the right answers {listed(raw)} is one of the choices")
        return right[0], raw
    text = index_text(raw)
    if not (_is_index(text) and int(text) < len(choices)):
        raise RowFault(f"label {quoted(text)} is no index into the row's {len(choices)} choices, which count from 0")
    return int(text), (choices[int(text)],)


def _class(task: TaskDefinition, raw: object, from_one: bool) -> int:
    text = index_text(raw) if from_one else ""
    known: object = str(int(text) - 1) if _is_index(text) else raw
    value = find_label(known, task.labels, task.label_aliases)
    if value is None:
        near = _near(label_text(raw), (*task.labels, *task.label_aliases))
        hint = f" (did you mean {near!r}?)" if near is not None else ""
        known, more = listed(task.label_values[:_SHOWN]), len(task.labels) - _SHOWN
        every = f"{known} and {more} more" if more > 0 else known
        what = "tag" if task.kind == "tags" else "label"
        raise RowFault(
            f"{what} {quoted(label_text(raw), 60)} is not one of {every}{hint}", "mend the row or the task's labels"
        )
    return task.label_values.index(value)


@lru_cache(maxsize=256)
def _near(given: str, names: tuple[str, ...]) -> str | None:
    """The label that was likely meant; the same wrong one may stand in every row."""
    return meant(given, names)


def _is_index(text: str) -> bool:
    """Whether a text is a whole number that may count something; thousands of digits are not even read."""
    return text.isdecimal() and len(text) < 10


def _value(task: TaskDefinition, raw: object) -> float:
    value = _number(raw)
    low, high = task.bounds or (-math.inf, math.inf)
    if value is None or not low <= value <= high:
        raise RowFault(f"label {quoted(str(raw))} is no number from {low:g} to {high:g}")
    return value


def _number(raw: object) -> float | None:
    if not isinstance(raw, (str, bytes, SupportsFloat, SupportsIndex)):
        return None
    try:
        value = float(raw)
    except (TypeError, ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None
