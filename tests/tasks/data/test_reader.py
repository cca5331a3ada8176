"""What is read of a file is kept as long as the file is the same, and no longer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Task
from softprompt.tasks.data.reader import RecordReader
from softprompt.tasks.data.records import columns_of, has_answer

TASK = Task(template="{text} {mask}", labels={"0": "no", "1": "yes"})


def write(path: Path, texts: list[str], label: str = "label") -> Path:
    path.write_text("\n".join([f"text\t{label}", *(f"{text}\t{place % 2}" for place, text in enumerate(texts))]) + "\n")
    return path


def texts(reader: RecordReader, path: Path) -> list[object]:
    return [record.values["text"] for record in reader.records(path, columns_of(TASK))]


@pytest.mark.parametrize("keep", [True, False])
def test_a_changed_file_is_read_again(keep: bool, tmp_path: Path) -> None:
    path, reader = write(tmp_path / "rows.tsv", ["one", "two"]), RecordReader(keep=keep)
    assert texts(reader, path) == ["one", "two"]
    before = path.stat()
    write(path, ["eno", "owt"])  # of the same size, and given back its time
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert texts(reader, path) == ["eno", "owt"]
    write(tmp_path / "other.tsv", ["new", "row"]).replace(path)
    assert texts(reader, path) == ["new", "row"]
    path.unlink()
    with pytest.raises(SoftPromptError, match=r"rows.tsv: cannot be read"):
        texts(reader, path)


def test_what_is_kept_is_kept_for_one_task_alone(tmp_path: Path) -> None:
    path, reader = tmp_path / "rows.tsv", RecordReader(keep=True)
    path.write_text("0\tone\n1\ttwo\n")
    assert len(list(reader.records(path, columns_of(TASK)))) == 2
    other = Task(template="{text} {mask}", labels={"a": "no", "b": "yes"}, columns={"text": ("one",)})
    assert len(list(reader.records(path, columns_of(other)))) == 1  # whose labels do not tell that there is no header


def test_no_more_is_read_of_a_file_than_its_first_row_where_that_is_not_wanted(tmp_path: Path) -> None:
    path, reader = write(tmp_path / "rows.tsv", ["one", "two"], "secret"), RecordReader(keep=True)
    path.write_text(path.read_text() + "a\tfault\tin\tit\n")
    columns = columns_of(TASK)
    for _ in range(2):
        assert reader.records_if(path, columns, lambda first: has_answer(TASK, first)) is None
    with pytest.raises(SoftPromptError, match="4 columns where the file has 2"):
        reader.records(path, columns)


def test_a_tasks_rows_follow_its_files(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.tsv", [f"text {place}" for place in range(30)])
    task = TASK.with_data(path).reading_once()
    before = task.splits(1)
    assert task.splits(1) == before
    write(path, [f"other {place}" for place in range(30)])
    assert {row.fields["text"][:5] for row in task.splits(1).train} == {"other"}
