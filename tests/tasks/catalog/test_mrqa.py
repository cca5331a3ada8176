"""MRQA's files: a header, a passage a line with its questions, packed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from softprompt.tasks import Task

PASSAGE = "[PAR] Ann rowed to Bo. Bo rowed to Ann."
HEADER = {"header": {"dataset": "Boats", "split": "dev"}}


def passage(**more: Any) -> dict[str, Any]:
    detected = [{"text": "Bo", "char_spans": [[23, 24]], "token_spans": [[6, 6]]}]
    first = {"qid": "a", "question": "Who rowed back ?", "question_tokens": [], "detected_answers": detected}
    second = {"qid": "b", "question": "Who began ?", "answers": ["Ann"], "detected_answers": []}
    return {"id": "p", "context": PASSAGE, "qas": [{**first, "answers": ["Bo", "Robert"]}, second], **more}


@pytest.fixture
def boats(tmp_path: Path) -> Path:
    path = tmp_path / "Boats.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(line) + "\n" for line in (HEADER, passage())).encode()))
    return path


def test_as_text(boats: Path) -> None:
    rows = Task.load("mrqa").labelled_rows(boats)
    assert [(row.fields["question"], row.value, row.answers) for row in rows] == [
        ("Who rowed back ?", "Bo", ("Bo", "Robert")),
        ("Who began ?", "Ann", ("Ann",)),
    ]
    assert (rows[0].line, rows[0].fields["context"]) == (2, PASSAGE)


def test_as_a_part_of_the_passage_at_the_place_that_is_told(boats: Path) -> None:
    rows = Task.load("mrqa_spans").labelled_rows(boats)
    assert [row.label for row in rows] == [(23, 25), (PASSAGE.index("Ann"), PASSAGE.index("Ann") + 3)]
    assert PASSAGE.index("Bo") < 23  # an earlier place that is not meant


def test_a_folder_of_one_file_as_a_test_split(boats: Path) -> None:
    boats.rename(boats.parent / "test.jsonl.gz")
    for name in ("train", "dev"):
        (boats.parent / f"{name}.jsonl").write_text(json.dumps(HEADER) + "\n" + json.dumps(passage()) + "\n")
    assert len(Task.load("mrqa", data=boats.parent).splits().test) == 2


def test_each_question_can_be_asked(boats: Path) -> None:
    for task in (Task.load("mrqa"), Task.load("mrqa_spans")):
        found = list(task.each_row_from(boats))
        assert [len(rows) for _, rows in found] == [1, 1]
        assert [values["question"] for values, _ in found] == ["Who rowed back ?", "Who began ?"]
        assert len(task.rows_of([{"context": PASSAGE, "question": "Who?"}])) == 1
