"""The paired test against scipy's own and against figures worked by hand."""

from __future__ import annotations

import math
import random

import pytest
from scipy.stats import t, ttest_rel

from softprompt.compare.significance import compare, holm, paired


@pytest.mark.parametrize("count", [2, 3, 5, 12])
def test_it_is_the_t_test_of_paired_samples(count: int) -> None:
    chance = random.Random(count)
    ours = [chance.gauss(0.8, 0.03) for _ in range(count)]
    theirs = [chance.gauss(0.78, 0.05) for _ in range(count)]
    found = paired(ours, theirs)
    expected = ttest_rel(ours, theirs)
    interval = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.interval == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert found.mean == pytest.approx(sum(ours) / count - sum(theirs) / count)
    assert found.pairs == count
    other = paired(theirs, ours)
    assert (other.p, other.mean) == pytest.approx((found.p, -found.mean))


def test_by_hand() -> None:
    """Differences 1, 2, 3: m = 2, s = 1, t = 2 sqrt 3; with two degrees of freedom P(T <= -t) is closed."""
    found = paired([1.0, 2.0, 3.0], [0.0, 0.0, 0.0])
    statistic = 2 * math.sqrt(3)
    assert found.p == pytest.approx(1 - statistic / math.sqrt(2 + statistic**2))
    assert found.interval == pytest.approx((2 - 4.302653 / math.sqrt(3), 2 + 4.302653 / math.sqrt(3)), abs=1e-6)


@pytest.mark.parametrize(("ours", "theirs"), [([0.8], [0.7]), ([0.8, 0.9], [0.7, 0.8]), ([0.5] * 4, [0.5] * 4)])
def test_without_spread_there_is_no_test(ours: list[float], theirs: list[float]) -> None:
    found = paired(ours, theirs)
    assert found.p is None
    assert found.interval is None
    assert found.mean == pytest.approx(ours[0] - theirs[0])


def test_pairs_are_needed() -> None:
    with pytest.raises(ValueError, match="nothing"):
        paired([], [])
    with pytest.raises(ValueError, match="zip"):
        paired([0.5], [0.5, 0.6])


def test_the_page_of_the_module_is_right_about_its_power() -> None:
    assert t.ppf(0.975, 2) / math.sqrt(3) == pytest.approx(2.48, abs=5e-3)
    assert t.ppf(0.975, 4) / math.sqrt(5) == pytest.approx(1.24, abs=5e-3)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, None, 0.9]) == [1.0, None, 1.0]
    assert holm([]) == []


def test_groups_are_compared_over_the_seeds_that_both_have() -> None:
    groups = {
        "learned": {13: 0.8, 21: 0.9, 42: 0.7},
        "all": {13: 0.7, 21: 0.85},
        "first": {13: 0.9, 21: 0.8, 42: 0.75},
        "last": {100: 0.1},
    }
    found = compare(groups, "learned")
    assert found["learned"] == {"mean": pytest.approx(0.8), "deviation": pytest.approx(0.1), "difference": None}
    assert found["last"] == {"mean": 0.1, "deviation": None, "difference": None}
    whole, first = found["all"]["difference"], found["first"]["difference"]
    assert (whole["pairs"], first["pairs"]) == (2, 3)
    assert whole["mean"] == pytest.approx(-0.075)
    assert whole["p"] == pytest.approx(ttest_rel([0.7, 0.85], [0.8, 0.9]).pvalue)
    assert [whole["p_holm"], first["p_holm"]] == holm([whole["p"], first["p"]])
