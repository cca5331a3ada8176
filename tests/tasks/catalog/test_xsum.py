"""XSum in the hub's columns."""

from __future__ import annotations

from pathlib import Path

from softprompt.tasks import Task

from ...shared.tables import jsonl, load


def test_the_published_division(tmp_path: Path) -> None:
    for split, count in {"train": 3, "validation": 2, "test": 2}.items():
        rows = [{"document": f"Long {n}.\nText.", "summary": f"Short {n}.", "id": str(n)} for n in range(count)]
        jsonl(tmp_path / f"{split}.jsonl", rows)
    splits = load("xsum", tmp_path)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [3, 2, 2]
    assert (splits.test[1].fields, splits.test[1].answers) == ({"document": "Long 1.\nText."}, ("Short 1.",))
    task = Task.load("xsum")
    assert str(task.template_for("text", seq2seq=True)) == "{document}"
    assert task.metrics[:3] == ("rougeL", "rouge1", "rouge2")
