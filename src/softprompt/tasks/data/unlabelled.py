"""Files of rows to predict: all rows at once, or record by record, so that an answer can stand beside each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from softprompt.tasks.data import files
from softprompt.tasks.data.conll import is_conll
from softprompt.tasks.data.lines import lines
from softprompt.tasks.data.record import Record
from softprompt.tasks.data.records import (
    columns_of,
    each_of_table,
    questions_of,
    rows_of_records,
    rows_of_values,
    rows_to_predict,
    without_text,
)
from softprompt.tasks.definition import TaskDefinition
from softprompt.tasks.rows import Row


def rows_of_file(task: TaskDefinition, path: Path, encoding: str | None, notes: list[str]) -> list[Row]:
    """Rows to predict; one text a line where a text file has no header and the task one field."""
    if is_text_alone(task, path, encoding):
        texts = (text for _, text in lines(path, encoding, notes) if text.strip())
        return rows_of_values(task, texts, str(path))
    records = each_of_table(path, columns_of(task), encoding, notes)
    return rows_of_records(task, records, from_one=False, with_labels=False)[0]


def is_text_alone(task: TaskDefinition, path: Path, encoding: str | None = None) -> bool:
    """Whether a file is one text a line: a text file without a header, for a task of one field."""
    if files.format_of(path) != ".txt" or len(task.fields) != 1 or columns_of(task).divider is not None:
        return False
    if task.kind == "tags" and is_conll(path, columns_of(task).is_label, encoding):
        return False
    first = next(lines(path, encoding), None)
    return first is not None and not columns_of(task).known & {cell.strip() for cell in first[1].split("\t")}


def each_unlabelled(
    task: TaskDefinition, path: Path, encoding: str | None, notes: list[str]
) -> Iterator[tuple[Record, list[Row]]]:
    """The records of a file one by one with the rows to predict that they make; a blank line and one without text none.

    Raises:
        SoftPromptError: the file cannot be read, or the first fault of a record.
    """
    records: Iterable[Record]
    if is_text_alone(task, path, encoding):
        texts = lines(path, encoding, notes)
        records = (Record({task.fields[0]: text}, str(path), number) for number, text in texts)
    else:
        records = each_of_table(path, columns_of(task), encoding, notes, blanks=True)
    for record in (one for whole in records for one in questions_of(task, whole)):
        blank = record.blank or (not task.blank_text and without_text(task, record))
        yield record, [] if blank else rows_to_predict(task, record)
