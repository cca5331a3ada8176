"""A file that is one JSON value gives the rows of its list, and what is no such list is told in a line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.guards import limits
from softprompt.tasks import Task

from ...shared.tables import REVIEWS, told, write

ODD = [{"text": 'a "quoted" [x] {y} \\'}, {"text": "b", "more": {"data": [1, {"z": []}]}}]


@pytest.mark.parametrize("head", ["{}", '{{"version": "1", "about": {{"data": [3]}}, "data": {}}}'])
@pytest.mark.parametrize("indent", [None, 2])
def test_a_list_of_rows_and_one_under_data(tmp_path: Path, head: str, indent: int | None) -> None:
    path = write(tmp_path / "rows.json", "\ufeff" + head.format(json.dumps(ODD, indent=indent)))
    assert [row.fields["text"] for row in REVIEWS.rows_from(path)] == [one["text"] for one in ODD]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[1]",
        '[{"text": "a"} 3]',
        '[{"text": "a"}',
        '{"rows": [{}]}',
        '"x"',
        "[]",
        '[{"text": "a"}, "b"]',
        "[[]]",
        "{}",
    ]
    + ['[{"text": "a"]', '[{"text": a}]', '[{"text": "a}]', '{"data": {"text": "a"}}'],
)
def test_what_is_no_list_of_rows_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(SoftPromptError) as error:
        REVIEWS.rows_from(write(tmp_path / "rows.json", content))
    told(error, "rows.json")


def test_its_size_and_that_of_a_row_have_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "rows.json", json.dumps(ODD))
    monkeypatch.setattr(limits, "LINE", 20)
    with pytest.raises(SoftPromptError, match="characters in one object and more, at most 20"):
        REVIEWS.rows_from(path)
    monkeypatch.setattr(limits, "JSON", 30)
    with pytest.raises(SoftPromptError, match="bytes and more, at most 30"):
        REVIEWS.rows_from(path)


def test_squads_own_file(tmp_path: Path) -> None:
    def question(name: str, answers: list[str], **more: object) -> dict[str, object]:
        return {
            "id": name,
            "question": f" {name}?",
            "answers": [{"text": text, "answer_start": 0} for text in answers],
            **more,
        }

    asked = [question(f"q{n}", ["Paris", "in Paris"], is_impossible=False) for n in range(3)]
    asked.append(question("q3", [], is_impossible=True, plausible_answers=[{"text": "Rome", "answer_start": 1}]))
    document = {"version": "v2.0", "data": [{"title": "T", "paragraphs": [{"context": "Here.", "qas": asked}]}]}
    path = write(tmp_path / "train-v2.0.json", json.dumps(document))
    task = Task(kind="generation", layout="squad", template="{context} {question} {mask}", metric="token_f1")
    splits = task.with_data(path).splits()
    rows = sorted((*splits.train, *splits.validation, *splits.test), key=lambda row: row.fields["question"])
    assert rows[0].fields == {"context": "Here.", "question": "q0?"}
    assert [row.answers for row in rows] == [("Paris", "in Paris")] * 3 + [("unanswerable",)]
    assert [row.answers for row in task.rows_of([document])] == [row.answers for row in rows]
    flat = {"context": "Here.", "question": "q?", "answers": {"text": ["Paris"], "answer_start": [0]}}
    empty = {**flat, "answers": {"text": [], "answer_start": []}}
    assert [row.label for row in task.rows_of([flat, empty, {"context": "c", "question": "q"}])] == [
        "Paris",
        "unanswerable",
        None,
    ]


def test_a_json_beside_the_rows_is_no_second_file_of_them(tmp_path: Path) -> None:
    write(tmp_path / "train.json", "{}")
    write(tmp_path / "train.csv", "text,label\n" + "".join(f"a{n},{n % 2}\n" for n in range(9)))
    assert REVIEWS.with_data(tmp_path).splits().train
