"""Label values of files as the task knows them."""

from __future__ import annotations

import math
from typing import SupportsFloat, SupportsIndex

from softprompt.errors import SoftPromptError, quoted
from softprompt.guards import limits
from softprompt.tasks.definition import TaskDefinition
from softprompt.tasks.values import find_label, index_text, label_text, listed


def is_label(task: TaskDefinition, cell: str) -> bool:
    """Whether a cell of a table is a label value of the task."""
    if task.kind == "regression":
        return _number(cell) is not None
    if task.label_from_one and index_text(cell) == str(len(task.labels)):
        return True
    return find_label(cell, task.labels, task.label_aliases) is not None


def answer_of(
    task: TaskDefinition, raw: object, choices: tuple[str, ...] | None, from_one: bool, place: str
) -> tuple[int | float | str | None, tuple[str, ...]]:
    """The row's label and the texts of its right answers."""
    if raw is None:
        return None, ()
    if task.kind == "generation":
        answers = tuple(map(str, raw)) if isinstance(raw, (list, tuple)) else (str(raw),)
        for answer in answers:
            limits.check_text(answer, place)
        return answers[0], answers
    if task.kind == "regression":
        return _value(task, raw, place), ()
    if choices is None:
        return _class(task, raw, from_one, place), ()
    if isinstance(raw, (list, tuple)):
        wanted = {answer for answer in raw if isinstance(answer, str)}
        right = [index for index, choice in enumerate(choices) if choice in wanted]
        if not right:
            raise SoftPromptError(f"{place}: none of the right answers {listed(tuple(raw))} is one of the choices")
        return right[0], tuple(map(str, raw))
    text = index_text(raw)
    if not (_is_index(text) and int(text) < len(choices)):
        raise SoftPromptError(
            f"{place}: label {quoted(text)} is no index into the row's {len(choices)} choices, which count from 0"
        )
    return int(text), (choices[int(text)],)


def _class(task: TaskDefinition, raw: object, from_one: bool, place: str) -> int:
    text = index_text(raw) if from_one else ""
    known: object = str(int(text) - 1) if _is_index(text) else raw
    value = find_label(known, task.labels, task.label_aliases)
    if value is None:
        raise SoftPromptError(
            f"{place}: label {quoted(label_text(raw))} is not one of {listed(task.label_values)}; "
            "mend the row or the task's labels"
        )
    return task.label_values.index(value)


def _is_index(text: str) -> bool:
    """Whether a text is a whole number that may count something; thousands of digits are not even read."""
    return text.isdecimal() and len(text) < 10


def _value(task: TaskDefinition, raw: object, place: str) -> float:
    value = _number(raw)
    low, high = task.bounds or (-math.inf, math.inf)
    if value is None or not low <= value <= high:
        raise SoftPromptError(f"{place}: label {quoted(str(raw))} is no number from {low:g} to {high:g}")
    return value


def _number(raw: object) -> float | None:
    if not isinstance(raw, (str, bytes, SupportsFloat, SupportsIndex)):
        return None
    try:
        value = float(raw)
    except (TypeError, ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None
