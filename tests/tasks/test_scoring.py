"""Scores of a task: their intervals against closed forms, and what cannot be scored."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from scipy import stats

from softprompt.errors import SoftPromptError
from softprompt.tasks import Row, Task, evaluate

from ..shared.tables import THREE, labelled


@pytest.mark.parametrize(("hits", "count"), [(0, 5), (3, 10), (640, 872), (56, 56)])
def test_the_interval_of_an_accuracy_is_wilsons(hits: int, count: int) -> None:
    found = evaluate(THREE, labelled([0] * count), [0] * hits + [1] * (count - hits))
    interval = stats.binomtest(hits, count).proportion_ci(method="wilson")
    assert found["interval"] == pytest.approx([interval.low, interval.high])


def test_the_bootstrap_interval_is_near_the_exact_one_and_the_same_twice() -> None:
    task = Task(template="{a}", kind="regression", metric="pearson")
    generator = np.random.default_rng(7)
    real = generator.normal(size=400)
    guessed = real + generator.normal(size=400)
    found = evaluate(task, labelled(real.tolist()), guessed.tolist())
    exact = stats.pearsonr(real, guessed).confidence_interval()  # Fisher's
    assert found["interval"] == pytest.approx([exact.low, exact.high], abs=0.03)
    assert evaluate(task, labelled(real.tolist()), guessed.tolist()) == found


def test_the_normal_point_is_right() -> None:
    from softprompt.tasks import scoring

    assert pytest.approx(NormalDist().inv_cdf(0.975)) == scoring._Z


@pytest.mark.parametrize(
    ("rows", "predictions", "told"),
    [
        ([], [], "no rows"),
        (labelled([0, 1]), [0], "1 predictions for 2 rows"),
        (labelled([0, None]), [0, 1], "row 1 has no label"),
        (labelled([0]), [3], "prediction 3 is no class"),
        (labelled([0]), ["x"], "prediction 'x' is no class"),
    ],
)
def test_what_cannot_be_scored_is_told(rows: list[Row], predictions: list[Any], told: str) -> None:
    with pytest.raises(SoftPromptError, match=told):
        evaluate(THREE, rows, predictions)
