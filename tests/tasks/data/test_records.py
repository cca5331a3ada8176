"""Rows of records: from files and Python values, labelled or not, and what is no row."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Task

from ...shared.tables import REVIEWS, jsonl, told, write


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ([], ("no rows",)),
        (["good", " "], ("rows, line 2", "no text")),
        ([{"review": "good"}], ("rows, line 1", "no column 'text'", "'review'")),
        ([{"text": "good", "label": "7"}], ("rows, line 1", "label '7'")),
    ],
)
def test_faults_of_python_values(values: list[object], parts: tuple[str, ...]) -> None:
    with pytest.raises(SoftPromptError) as error:
        REVIEWS.rows_of(values)  # type: ignore[arg-type]
    told(error, *parts)


def test_plain_texts_for_a_task_of_two_fields() -> None:
    with pytest.raises(SoftPromptError) as error:
        Task.load("rte").rows_of(["only one"])
    told(error, "plain text", "'premise', 'hypothesis'", '{"premise": "...", "hypothesis": "..."}', "--field")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv", 'text,id\n"a, b",1\nc,2\n'),
        ("rows.tsv", "id\ttext\n1\ta, b\n2\tc\n"),
        ("rows.jsonl", '{"text": "a, b"}\n{"text": "c"}\n'),
        ("rows.txt", "a, b\n\nc\n"),
        ("rows.txt", "text\na, b\nc\n"),
        ("labelled.csv", '0,"a, b"\n1,c\n'),
    ],
)
def test_rows_from_files(tmp_path: Path, name: str, content: str) -> None:
    found = REVIEWS.rows_from(write(tmp_path / name, content))
    assert [row.fields for row in found] == [{"text": "a, b"}, {"text": "c"}]
    assert [row.label for row in found] == [None, None]
    assert [row.index for row in found] == [0, 1]


def test_rows_from_a_secret_test_file(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "test.jsonl", [{"premise": "p", "hypothesis": "h", "idx": 0}])
    (row,) = Task.load("cb").rows_from(path)
    assert row.fields == {"premise": "p", "hypothesis": "h"}


def test_rows_of_python_values() -> None:
    plain, named, labelled = REVIEWS.rows_of(["a", {"text": "b"}, {"text": "c", "label": 1}])
    assert [row.fields["text"] for row in (plain, named, labelled)] == ["a", "b", "c"]
    assert [row.label for row in (plain, named, labelled)] == [None, None, 1]
    copa = Task.load("copa")
    (row,) = copa.rows_of([{"premise": "a.", "choice1": "b", "choice2": "c", "question": "effect"}])
    assert row.choices == ("b", "c")
    assert row.fields["connective"] == "so"


def test_rows_of_a_choice_task_of_ones_own() -> None:
    task = Task(template="{question} {choice}", kind="choice")
    (row,) = task.rows_of([{"question": "1 + 1 =", "choices": ["1", "2", "3"], "label": 1}])
    assert (row.label, row.answers, row.choices) == (1, ("2",), ("1", "2", "3"))


def test_rows_of_a_generation_task() -> None:
    task = Task(template="{question}", kind="generation")
    one, many = task.rows_of([{"question": "q", "label": "yes"}, {"question": "q", "answers": ["a", "b"]}])
    assert (one.label, one.answers) == ("yes", ("yes",))
    assert (many.label, many.answers) == ("a", ("a", "b"))
