"""The vote of several answers to one row: its ties, the mean probability, numbers and texts."""

from __future__ import annotations

import math

import pytest

from softprompt.evaluation.vote import ballot
from softprompt.readouts import Outcome


def outcome(*chances: float, right: int = 0) -> Outcome:
    return Outcome(chances.index(max(chances)), tuple(chances), -math.log(chances[right]))


def test_the_majority_wins_against_the_mean() -> None:
    found = ballot([outcome(0.4, 0.6), outcome(0.45, 0.55), outcome(0.99, 0.01)])
    assert (found.prediction, found.by_mean) == (1, 0)
    assert found.probabilities == pytest.approx((1.84 / 3, 1.16 / 3))
    assert found.loss == pytest.approx(-math.log(1.84 / 3))


def test_ties_go_to_the_summed_log_probability_then_to_the_lowest_index() -> None:
    assert ballot([outcome(0.9, 0.1), outcome(0.45, 0.55)]).prediction == 0
    assert ballot([outcome(0.55, 0.45), outcome(0.1, 0.9)]).prediction == 1
    assert ballot([outcome(0.3, 0.7), outcome(0.7, 0.3)]).prediction == 0
    assert ballot([outcome(0.7, 0.3), outcome(0.3, 0.7)]).prediction == 0
    # The product decides, not the sum: 0.6 * 0.2 < 0.35 * 0.45, though 0.6 + 0.2 = 0.35 + 0.45.
    assert ballot([outcome(0.6, 0.35, 0.05), outcome(0.2, 0.45, 0.35)]).prediction == 1
    # A class without any chance cannot win a tie by accident.
    assert ballot([Outcome(0, (1.0, 0.0), 0.0), Outcome(1, (0.2, 0.8), 1.0)]).prediction == 0


def test_numbers_are_averaged_and_texts_counted() -> None:
    assert ballot([Outcome(1.0, None, 0.1), Outcome(4.0, None, 0.3)]).prediction == 2.5
    texts = [Outcome(text, None, None) for text in ("Paris", "Rome", "the rome", "Paris.")]
    assert ballot(texts).prediction == "Paris"
    assert ballot([texts[0], texts[1], texts[2]]).prediction == "Rome"
    assert ballot(texts[:2]).loss is None
