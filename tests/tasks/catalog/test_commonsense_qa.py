"""CommonsenseQA's published files and the hub's rows, written out small."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Task

from ...shared.tables import jsonl, load, repeated

OFFERED = {"label": ["A", "B", "C"], "text": ["a net", "a cup", "a kite"]}
PUBLISHED = {
    "answerKey": "B",
    "id": "f1",
    "question": {
        "question_concept": "tea",
        "choices": [{"label": name, "text": text} for name, text in zip(*OFFERED.values(), strict=True)],
        "stem": "Where would you pour tea?",
    },
}


def test_the_published_files(tmp_path: Path) -> None:
    secret = {key: value for key, value in PUBLISHED.items() if key != "answerKey"}
    jsonl(tmp_path / "train_rand_split.jsonl", repeated([PUBLISHED, {**PUBLISHED, "answerKey": "C"}]))
    jsonl(tmp_path / "dev_rand_split.jsonl", [PUBLISHED])
    jsonl(tmp_path / "test_rand_split_no_answers.jsonl", [secret])
    splits = load("commonsense_qa", tmp_path)
    assert splits.protocol == "official validation is test"
    assert {row.label for row in splits.train} == {1, 2}
    (row,) = splits.test
    assert row.fields == {"question": "Where would you pour tea?", "options": "a net, a cup, a kite"}
    assert row.choices == ("a net", "a cup", "a kite")
    assert row.label == 1


def test_the_rows_of_the_hub_are_the_same() -> None:
    flat = {"id": "f1", "question": "Where would you pour tea?", "choices": OFFERED, "answerKey": "B"}
    task = Task.load("commonsense_qa")
    (there,), (here,) = task.rows_of([PUBLISHED]), task.rows_of([flat])
    assert (there.fields, there.choices, there.label) == (here.fields, here.choices, here.label)


def test_an_answer_that_is_no_choice_is_refused() -> None:
    with pytest.raises(SoftPromptError, match="label 'E'"):
        Task.load("commonsense_qa").rows_of([{**PUBLISHED, "answerKey": "E"}])
