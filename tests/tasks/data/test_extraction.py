"""Answers in a passage: SQuAD's own file, the hub's rows, and answers whose place is not told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Row, Task, evaluate

PASSAGE = "Rome is old. Anna was born in Rome."
TASK = Task(name="squad", kind="extraction", layout="squad")


def rows_of(**values: Any) -> list[Row]:
    return TASK.rows_of([{"context": PASSAGE, "question": "Where was Anna born?", **values}])


def told(row: Row) -> str:
    assert isinstance(row.label, tuple)
    return row.fields["context"][slice(*row.label)]


def test_a_definition_needs_nothing_more() -> None:
    assert (TASK.fields, TASK.template) == (("question", "context"), "{question}{sep}{context}")
    assert TASK.metrics == ("token_f1", "exact_match")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"answers": {"text": ["Rome", "in Rome"], "answer_start": [30, 27]}}, (30, 34)),
        ({"answers": [{"text": "Rome", "answer_start": 30}]}, (30, 34)),
        ({"answers": {"text": ["Rome"], "answer_start": [31]}}, (30, 34)),  # white space that was taken off
        ({"answers": ["Rome"]}, (0, 4)),
        ({"answers": ["Roma", "Rome"], "answer_start": [30, 30]}, (30, 34)),
        ({"answers": '{"text": ["Rome"], "answer_start": [30]}'}, (30, 34)),
        ({"answers": {"text": [], "answer_start": []}}, ()),
        ({}, None),
    ],
)
def test_the_label_is_where_the_answer_stands(values: dict[str, Any], expected: tuple[int, ...] | None) -> None:
    (row,) = rows_of(**values)
    assert row.label == expected
    assert expected in (None, ()) or told(row) == "Rome"


def test_squads_own_file(tmp_path: Path) -> None:
    questions = [
        {"id": "1", "question": "Where?", "answers": [{"text": "Rome ", "answer_start": 30}]},
        {"id": "2", "question": "When?", "answers": [], "is_impossible": True},
    ]
    article = {"title": "Anna", "paragraphs": [{"context": f" {PASSAGE}", "qas": questions}]}
    (tmp_path / "a.json").write_text(json.dumps({"version": "v2.0", "data": [article]}))
    rows = TASK.labelled_rows(tmp_path / "a.json")
    assert [row.label for row in rows] == [(30, 34), ()]
    assert [row.answers for row in rows] == [("Rome",), ("unanswerable",)]
    found = evaluate(TASK, rows, ["the Rome!", "unanswerable"])  # the official normalisation
    assert (found["token_f1"], found["exact_match"]) == (1, 1)
    found = evaluate(TASK, rows, ["in Rome", "Rome"])
    assert (found["token_f1"], found["exact_match"]) == (pytest.approx(1 / 3), 0)
    asked = list(TASK.each_row_from(tmp_path / "a.json"))  # a record a question, and not the whole file again
    assert [(values["id"], len(own)) for values, own in asked] == [("1", 1), ("2", 1)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"answers": ["Paris"]}, "the answer 'Paris' does not stand in 'context'; mend it"),
        ({"answers": {"spans_": ["Rome"]}}, "none of which holds its texts"),
    ],
)
def test_faults(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SoftPromptError, match=message):
        rows_of(**values)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"labels": ["a", "b"]}, "has no labels"),
        ({"template": "{question} {mask}", "fields": ("question", "context")}, "answers are read off {context}"),
        ({"metric": "accuracy"}, "is for classification"),
    ],
)
def test_definitions_that_cannot_be(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(SoftPromptError, match=message):
        Task(kind="extraction", **keys)
