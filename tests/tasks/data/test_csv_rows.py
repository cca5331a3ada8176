"""Cells of csv files are as long as texts may be, however many files are read at a time."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.guards import limits
from softprompt.tasks import Task
from softprompt.tasks.data.csv_rows import csv_rows
from softprompt.tasks.data.lines import text_file

LONG = "x " * 100_000  # more than the 131,072 characters that Python lets a cell have


def rows_of(path: Path) -> Iterator[list[str]]:
    with text_file(path) as file:
        yield from (cells for _, cells in csv_rows(file))


def test_files_that_are_read_in_turns_have_long_cells_until_the_last_is_done(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(f"text\nw\n{LONG}\n")
    one, other = rows_of(tmp_path / "a.csv"), rows_of(tmp_path / "b.csv")
    assert next(one) == next(other) == ["text"]
    assert [len(cells[0]) for cells in one] == [1, len(LONG)]
    assert [len(cells[0]) for cells in other] == [1, len(LONG)]
    assert csv.field_size_limit() == before


def test_a_divided_folder_may_have_long_texts_in_each_part(tmp_path: Path) -> None:
    task = Task(template="{text} It was {mask}", labels=["a", "b"])
    for name in ("train", "dev", "test"):
        lines = [f"{name} {n} {LONG if n == 5 else ''},{'ab'[n % 2]}" for n in range(8)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *lines, ""]))
    splits = task.with_data(tmp_path).splits()
    for rows in (splits.train, splits.validation, splits.test):
        assert max(len(row.fields["text"]) for row in rows) > len(LONG) - 2


def test_a_cell_that_is_longer_than_a_text_may_be_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("text\nw\n" + "x" * (limits.TEXT + 1) + "\n")
    with pytest.raises(SoftPromptError, match=r"line 3: a text of more than 2,000,000 characters"):
        list(rows_of(path))
