"""Rows with several right answers, as tables of meanings and their wordings have them: one line for each wording.

To be scored they are one row, whose answers count together; to be learned from, each wording is a row of its own, as
the code of Prefix-Tuning has it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from softprompt.tasks.definition import TaskDefinition
from softprompt.tasks.rows import Row


def gathered(task: TaskDefinition, rows: list[Row]) -> list[Row]:
    """Rows of the same texts as one, at the place of the first, with the answers of all; as they are elsewhere."""
    if not task.references:
        return rows
    found: dict[object, Row] = {}
    for row in rows:
        key = (tuple(sorted(row.fields.items())), row.part)
        first = found.get(key)
        found[key] = row if first is None else replace(first, answers=(*first.answers, *row.answers))
    return list(found.values())


def told(task: TaskDefinition, name: str, rows: Iterable[Row]) -> list[str]:
    """One line that says how many answers the rows of a part have; none where each has one."""
    counts = [len(row.answers) for row in rows] if task.references else []
    return [f"{name}: {sum(counts)} right answers to {len(counts)} rows"] if sum(counts) > len(counts) else []


def taught(task: TaskDefinition, rows: list[Row]) -> list[Row]:
    """A row for each right answer."""
    if not task.references:
        return rows
    return [replace(row, label=answer, answers=(answer,)) for row in rows for answer in row.answers]
