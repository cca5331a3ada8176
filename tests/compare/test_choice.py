"""The choice: the highest mean, unless it is within noise of the default."""

from __future__ import annotations

import math
from statistics import stdev

import pytest

from softprompt.compare.choice import Score, chosen


def folds(*values: float) -> list[Score]:
    return [(value, (0.0, 1.0)) for value in values]


def test_folds_are_compared_fold_by_fold() -> None:
    """Folds differ much, and the better one is better by the same on each: no noise at all."""
    default, better = folds(0.5, 0.7, 0.9), folds(0.6, 0.8, 1.0)
    found = chosen([default, better])
    assert (found.place, found.best) == (1, 1)
    assert found.gain == pytest.approx(0.1)
    assert found.error == pytest.approx(0, abs=1e-9)
    lucky = folds(0.5, 0.6, 1.2)
    found = chosen([default, lucky])
    assert found.error == pytest.approx(stdev([0.0, -0.1, 0.3]) / math.sqrt(3))
    assert (found.place, found.best) == (0, 1)  # 0.067 better, of 0.12


def test_of_one_set_of_rows_the_intervals_tell() -> None:
    default: list[Score] = [(0.80, (0.75, 0.85))]
    near, far = [(0.83, (0.78, 0.88))], [(0.84, (0.79, 0.89))]
    error = math.hypot(0.05, 0.05) / 1.959963984540054  # 0.0361
    assert chosen([default, near]).error == pytest.approx(error)
    assert chosen([default, near]).place == 0
    assert chosen([default, near, far]).place == 2


def test_of_equal_ones_the_first_counts_and_what_failed_never() -> None:
    same = folds(0.5, 0.5)
    assert chosen([same, same, []]).best == 0
    better = folds(0.9, 0.9)
    assert chosen([same, [], better, better]).place == 2
