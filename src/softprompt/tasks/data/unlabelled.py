"""Files of rows to predict: all rows at once, or record by record, so that an answer can stand beside each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from softprompt.tasks.data import files, held
from softprompt.tasks.data.conll import is_conll
from softprompt.tasks.data.lines import lines
from softprompt.tasks.data.record import Record
from softprompt.tasks.data.records import (
    columns_of,
    questions_of,
    read_table,
    rows_of_records,
    rows_of_values,
    without_text,
)
from softprompt.tasks.definition import TaskDefinition
from softprompt.tasks.rows import Row


def rows_of_file(task: TaskDefinition, path: Path) -> list[Row]:
    """Rows to predict; one text a line where a text file has no header and the task one field."""
    if is_text_alone(task, path):
        return rows_of_values(task, [text for _, text in lines(path) if text.strip()], str(path))
    return rows_of_records(task, read_table(path, columns_of(task)), from_one=False, with_labels=False)[0]


def is_text_alone(task: TaskDefinition, path: Path) -> bool:
    """Whether a file is one text a line: a text file without a header, for a task of one field."""
    if not files.ending_of(path).startswith(".txt") or len(task.fields) != 1:
        return False
    if task.kind == "tags" and is_conll(path, columns_of(task).is_label):
        return False
    first = next(lines(path), None)
    return first is not None and not columns_of(task).known & {cell.strip() for cell in first[1].split("\t")}


def each_unlabelled(task: TaskDefinition, path: Path) -> Iterator[tuple[Record, list[Row]]]:
    """The records of a file one by one with the rows to predict that they make; a blank line and one without text none.

    Raises:
        SoftPromptError: the file cannot be read, or the first fault of a record.
    """
    records: Iterator[Record]
    if is_text_alone(task, path):
        records = (Record({task.fields[0]: text}, str(path), number) for number, text in lines(path))
    else:
        table = held.one_table(path)
        columns = columns_of(task)
        records = iter(table.records(columns)) if table is not None else files.each_record(path, columns, blanks=True)
    for record in (one for whole in records for one in questions_of(task, whole)):
        blank = record.blank or (not task.blank_text and without_text(task, record))
        yield record, [] if blank else rows_of_records(task, [record], from_one=False, with_labels=False)[0]
