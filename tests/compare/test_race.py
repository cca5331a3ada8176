"""Who is dropped and who is taken: the jackknife by rows against plain re-derivations."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from softprompt.compare.race import HeldOut, taken
from softprompt.evaluation.predictions import Predictions


def answered(label: Sequence[int], prediction: Sequence[int], metric: str = "accuracy") -> HeldOut:
    told = Predictions(
        kind="classification", labels={"0": "no", "1": "yes"}, label=tuple(label), prediction=tuple(prediction)
    )
    return HeldOut(metric, told.sums(metric))


def right(*hits: int) -> HeldOut:
    """Accuracy alone: which rows are right."""
    return answered([1] * len(hits), hits)


def draws(seed: int, count: int = 40) -> list[list[int]]:
    chance = np.random.default_rng(seed)
    return [chance.integers(0, 2, count).tolist() for _ in range(3)]


def test_of_accuracy_the_error_is_that_of_paired_differences() -> None:
    label, one, other = draws(3)
    ours, theirs = answered(label, one), answered(label, other)
    hits = [np.equal(label, found).astype(float) for found in (one, other)]
    gap = ours.behind(theirs)
    assert ours.score == pytest.approx(hits[0].mean())
    assert ours.error == pytest.approx(hits[0].std(ddof=1) / math.sqrt(40))
    assert gap.mean == pytest.approx(hits[1].mean() - hits[0].mean())
    assert gap.error == pytest.approx((hits[1] - hits[0]).std(ddof=1) / math.sqrt(40))


def test_of_another_metric_each_row_is_left_out_in_turn() -> None:
    def f1(label: np.ndarray, found: np.ndarray) -> float:
        hit = float(((label == 1) & (found == 1)).sum())
        return 2 * hit / float((label == 1).sum() + (found == 1).sum())

    label, one, other = map(np.array, draws(5))
    gap = answered(label.tolist(), one.tolist(), "f1").behind(answered(label.tolist(), other.tolist(), "f1"))
    without = np.array([f1(*(np.delete(x, row) for x in (label, other))) for row in range(40)])
    without -= [f1(*(np.delete(x, row) for x in (label, one))) for row in range(40)]
    assert gap.mean == pytest.approx(f1(label, other) - f1(label, one))
    assert gap.error == pytest.approx(math.sqrt(39 / 40 * ((without - without.mean()) ** 2).sum()))


def test_one_that_has_fewer_folds_is_compared_on_these_alone() -> None:
    best = right(1, 1, 1, 1, 0, 0, 0, 0)
    gap = right(0, 1, 1, 1).behind(best)
    assert gap.mean == pytest.approx(0.25)
    assert gap.error == pytest.approx(np.std([1, 0, 0, 0], ddof=1) / 2)
    assert gap.tied
    assert not gap.clear


def test_who_is_behind_by_two_errors_is_dropped_and_by_one_is_no_tie() -> None:
    best = right(*[1] * 16)
    some = right(*[1] * 14, 0, 0).behind(best)  # 0.125 of 0.085
    assert (some.clear, some.tied) == (False, False)
    many = right(*[1] * 12, *[0] * 4).behind(best)  # 0.25 of 0.112
    assert many.clear
    assert right(*[0] * 16).behind(best).clear
    assert best.behind(best).tied
    assert not right(0).behind(right(1)).clear  # of a single row nothing is known


def test_the_smallest_that_cannot_be_told_from_the_best_is_taken() -> None:
    best, near, far = right(*[1] * 15, 0), right(*[1] * 14, 0, 1), right(*[1] * 4, *[0] * 12)
    found = taken([best, far, near], [300, 100, 200])
    assert (found.place, found.best, found.tied) == (2, 0, (0, 2))
    assert taken([best, near], [300, 300]).place == 0  # of equals the first
    assert taken([far, near, best], [1, 400, 300]).place == 2
    assert taken([far], [5]).place == 0
