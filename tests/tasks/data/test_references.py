"""Several right answers: one row where they are scored, a row each where they are learned."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Task

from ...shared.tables import jsonl, told

TASK = Task(name="pairs", kind="generation", template="{text}\n{mask}", references=True, metric="bleu")


def lines(meanings: int, wordings: int) -> list[dict[str, str]]:
    return [{"text": f"m{m}", "label": f"m{m} as {w}"} for w in range(wordings) for m in range(meanings)]


def test_a_published_division(tmp_path: Path) -> None:
    for name, count in (("train", 6), ("dev", 3), ("test", 2)):
        jsonl(tmp_path / f"{name}.jsonl", lines(count, 3))
    splits = TASK.with_data(tmp_path).splits()
    assert sorted(row.value for row in splits.train) == sorted(one["label"] for one in lines(6, 3))
    assert all(row.answers == (row.value,) for row in splits.train)
    for part, count in ((splits.validation, 3), (splits.test, 2)):
        assert [row.fields["text"] for row in part] == [f"m{m}" for m in range(count)]
        assert [row.answers for row in part] == [tuple(f"m{m} as {w}" for w in range(3)) for m in range(count)]
    assert "test: 6 right answers to 2 rows" in splits.notes


def test_one_file_keeps_all_wordings_of_a_text_in_one_part(tmp_path: Path) -> None:
    splits = TASK.with_data(jsonl(tmp_path / "rows.jsonl", lines(30, 3))).splits()
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (24 * 3, 3, 3)
    trained = {row.fields["text"] for row in splits.train}
    assert not trained & {row.fields["text"] for row in (*splits.validation, *splits.test)}


def test_a_file_that_is_scored_whole(tmp_path: Path) -> None:
    notes: list[str] = []
    rows = TASK.labelled_rows(jsonl(tmp_path / "rows.jsonl", lines(4, 2)), notes=notes)
    assert [row.answers for row in rows] == [(f"m{m} as 0", f"m{m} as 1") for m in range(4)]
    assert notes == ["rows.jsonl: 8 right answers to 4 rows"]


def test_without_it_each_line_is_a_row_and_nothing_is_written(tmp_path: Path) -> None:
    plain = Task(kind="generation", template="{text}\n{mask}")
    assert "references" not in plain.model_dump()
    assert len(plain.labelled_rows(jsonl(tmp_path / "rows.jsonl", lines(4, 2)))) == 8
    assert Task(**TASK.model_dump(mode="json")).references


def test_other_kinds_have_none() -> None:
    with pytest.raises(SoftPromptError) as error:
        Task(template="{text} {mask}", labels=["a", "b"], references=True)
    told(error, "references", "classification")
