"""`predictions.json`: the answers give every metric again, and nothing else is taken for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from softprompt.errors import SoftPromptError
from softprompt.evaluation.predictions import PREDICTIONS, Predictions, read_predictions
from softprompt.files.manifest import sealed
from softprompt.readouts import Outcome
from softprompt.storage.record import Measured
from softprompt.tasks import Row, Task
from softprompt.tasks.scoring import evaluate
from softprompt.training.results import MeasuredSplits

from ..shared.run_folders import answers
from ..shared.runs import run


def outcomes(given: list[Any], **more: Any) -> list[Outcome]:
    return [Outcome(one, None, None, **more) for one in given]


CLASSES = {"0": "a", "1": "b", "2": "c"}
KINDS: dict[str, tuple[dict[str, Any], list[Row], list[Any]]] = {
    "classification": (
        {
            "template": "{text} {mask}",
            "labels": CLASSES,
            "metrics": ("accuracy", "macro_f1", "f1", "matthews", "cb_score"),
        },
        [Row({"text": "x"}, place % 3, index=place) for place in range(9)],
        [0, 1, 1, 0, 2, 2, 0, 1, 2],
    ),
    "groups": (
        {"template": "{text} {mask}", "labels": {"0": "a", "1": "b"}, "metrics": ("f1a", "em", "accuracy")},
        [Row({"text": "x"}, place % 2, group=f"g{place // 3}", index=place) for place in range(9)],
        [0, 1, 0, 0, 0, 1, 0, 1, 0],
    ),
    "choice": (
        {"kind": "choice", "template": "{text} {answer}", "metrics": ("accuracy", "record_f1", "record_em")},
        [Row({"text": "x"}, 1, ("the red", "a blue hat"), index=place, answers=("a blue hat",)) for place in range(4)],
        [1, 0, 1, 1],
    ),
    "regression": (
        {"kind": "regression", "template": "{text}", "metrics": ("pearson", "spearman")},
        [Row({"text": "x"}, float(place), index=place) for place in range(6)],
        [0.5, 1.0, 3.5, 2.0, 4.0, 4.5],
    ),
    "generation": (
        {"kind": "generation", "template": "{text} {answer}", "metrics": ("exact_match", "token_f1")},
        [Row({"text": "x"}, "the red hat", index=place, answers=("the red hat", "red")) for place in range(3)],
        ["red", "a red cat", "blue"],
    ),
    "tags": (
        {
            "kind": "tags",
            "template": "{words}",
            "labels": {"O": "O", "B-X": "B-X"},
            "metrics": ("span_f1", "token_accuracy"),
        },
        [Row({"words": "x y"}, (0, 1), words=("x", "y"), index=place) for place in range(3)],
        [(0, 1), (1, 1), (-1, 0)],
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_they_give_every_metric_of_the_task_again(kind: str, tmp_path: Path) -> None:
    options, rows, given = KINDS[kind]
    task = Task(name="t", **options)
    expected = evaluate(task, rows, given)
    Predictions.of(task, rows, outcomes(given)).write(tmp_path / PREDICTIONS)
    found = read_predictions(tmp_path / PREDICTIONS)
    for metric in task.metrics:
        assert found.score(metric) == pytest.approx(expected[metric]), metric


def test_facts_without_a_candidate_are_no_rows_of_the_score() -> None:
    task = Task(name="t", kind="fact", template="{text} {mask}", metrics=("p_at_1", "mrr"))
    rows = [Row({"text": "x"}, "y", index=place, answers=("y",)) for place in range(3)]
    found = [Outcome("y", None, None, rank=rank) for rank in (1, 0, 2)]
    assert Predictions.of(task, rows, found).prediction == (1, 2)
    assert Predictions.of(task, rows, found).score("mrr") == pytest.approx(0.75)


def test_numbers_of_numpy_are_written() -> None:
    task = Task(name="t", template="{text} {mask}", labels={"0": "a", "1": "b"})
    found = Predictions.of(task, [Row({"text": "x"}, 1)], outcomes([np.int64(1)]))
    assert found.prediction == (1,)
    assert type(found.prediction[0]) is int


def test_no_text_of_a_row_is_written(tmp_path: Path) -> None:
    task = Task(name="t", template="{text} {mask}", labels={"0": "a", "1": "b"})
    Predictions.of(task, [Row({"text": "a secret"}, 1)], outcomes([0])).write(tmp_path / PREDICTIONS)
    assert "secret" not in (tmp_path / PREDICTIONS).read_text()


def test_a_run_writes_what_its_score_is_made_of(tmp_path: Path) -> None:
    done = run(tmp_path, "llama", "prompt_tuning", max_steps=2)
    found = read_predictions(tmp_path / "run" / PREDICTIONS)
    assert len(found.label) == done.record.test.rows
    assert found.score("accuracy") == done.record.test.value("accuracy")


def test_a_run_without_test_rows_writes_none(tmp_path: Path) -> None:
    MeasuredSplits(Measured(), Measured(), None, None).write_predictions(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"prediction": [0, 1]}, "prediction has 2 entries and label 4"),
        ({"group": ["a"]}, "group has 1 entries and label 4"),
        ({"prediction": [0, 1, 0, 5]}, "5 is no class of 2"),
        ({"prediction": [0, 1, 0, "1"]}, "'1' is no class of 2"),
        ({"note": "x"}, "there is no such field"),
        ({"label": None}, "label"),
    ],
)
def test_what_no_run_wrote_is_refused(change: dict[str, Any], told: str, tmp_path: Path) -> None:
    values = {**answers([1, 1, 0, 1]).model_dump(mode="json", exclude_defaults=True), **change}
    (tmp_path / PREDICTIONS).write_text(json.dumps(sealed(values)))
    with pytest.raises(SoftPromptError, match=r"predictions\.json.*delete the file") as error:
        read_predictions(tmp_path / PREDICTIONS)
    assert told in str(error.value)


def test_a_flipped_answer_is_found(tmp_path: Path) -> None:
    answers([1, 1, 0, 1]).write(tmp_path / PREDICTIONS)
    text = (tmp_path / PREDICTIONS).read_text()
    (tmp_path / PREDICTIONS).write_text(text.replace("1,", "0,", 1))
    with pytest.raises(SoftPromptError, match="differs"):
        read_predictions(tmp_path / PREDICTIONS)
