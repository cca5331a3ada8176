"""The calibration error is the paper's sum, by a plain re-derivation."""

from __future__ import annotations

import random

import pytest

from softprompt.explain.report.calibration import calibration


def test_the_error_is_the_weighted_distance_of_bins() -> None:
    chance = random.Random(3)
    sure = [chance.uniform(0.3, 1) for _ in range(50)] + [1.0, 0.0]
    right = [chance.random() < 0.6 for _ in sure]
    expected = 0.0
    for low in range(10):
        own = [place for place, one in enumerate(sure) if low / 10 <= one < (low + 1) / 10 or (low == 9 and one == 1)]
        if own:
            accuracy = sum(right[place] for place in own) / len(own)
            confidence = sum(sure[place] for place in own) / len(own)
            expected += len(own) / len(sure) * abs(accuracy - confidence)
    found = calibration(sure, right)
    assert found.error == pytest.approx(expected)
    assert sum(one.rows for one in found.bins) == len(sure)
    assert sum(one.right for one in found.bins) == sum(right)


def test_answers_as_sure_as_they_are_right_have_no_error() -> None:
    assert calibration([0.5, 0.5, 1.0], [True, False, True]).error == 0
    assert calibration([0.9], [False]).error == pytest.approx(0.9)
