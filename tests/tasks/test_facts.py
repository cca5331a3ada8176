"""P@1, P@10 and MRR of ranks, and what a task of facts may have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Row, Task, evaluate

from ..shared.tables import told, write

TASK = Task(kind="fact", template="{subject} {mask}.")


def test_metrics_of_ranks() -> None:
    ranks = [1, 2, 10, 11, 1, 400]
    rows = [Row({"subject": "a"}, "b", answers=("b",)) for _ in ranks]
    found = evaluate(TASK, rows, ranks)
    assert found["p_at_1"] == pytest.approx(2 / 6)
    assert found["p_at_10"] == pytest.approx(4 / 6)
    assert found["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 10 + 1 / 11 + 1 + 1 / 400) / 6)
    low, high = found["interval"]
    assert low < found["p_at_1"] < high
    assert evaluate(TASK, rows[:2], [0, 1])["mrr"] == 0.5


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"kind": "fact", "labels": ["a", "b"]}, ("facts has no labels",)),
        ({"kind": "generation", "vocabulary": ["a"]}, ("vocabulary", "generation")),
        ({"kind": "fact", "vocabulary": ["a", "b", "a"]}, ("twice",)),
        ({"kind": "fact", "vocabulary": ["a", " "]}, ("empty",)),
        ({"kind": "fact", "metric": "accuracy"}, ("accuracy", "fact")),
    ],
)
def test_faults_are_told_in_a_line(values: dict[str, Any], parts: tuple[str, ...]) -> None:
    with pytest.raises(SoftPromptError) as error:
        Task(template="{subject} {mask}", **values)
    told(error, *parts)


def test_a_vocabulary_may_stand_in_a_file_beside_the_task(tmp_path: Path) -> None:
    write(tmp_path / "words.txt", "\ufeffParis\r\nRome\n\nParis\n")
    path = write(tmp_path / "born.yaml", "kind: fact\ntemplate: '{subject} {mask}.'\nvocabulary: words.txt\n")
    assert Task.load(path).vocabulary == ("Paris", "Rome")
    assert "vocabulary" not in TASK.model_dump()
    write(path, "kind: fact\ntemplate: '{subject} {mask}.'\nvocabulary: none.txt\n")
    with pytest.raises(SoftPromptError) as error:
        Task.load(path)
    told(error, "none.txt")
