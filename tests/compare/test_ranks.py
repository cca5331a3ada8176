"""Ranks against Demšar's own example and table."""

from __future__ import annotations

from fractions import Fraction
from statistics import fmean

import pytest
from scipy.stats import chi2

from softprompt.compare.ranks import Ranks, critical_distance, ranked

# Demšar 2006, Table 6: AUC of C4.5, C4.5+m, C4.5+cf and C4.5+m+cf on fourteen data sets. Of the last but one the two
# last are equal in print, and have the ranks 2 and 3.
NAMES = ("C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf")
AUC = [
    (0.763, 0.768, 0.771, 0.798),
    (0.599, 0.591, 0.590, 0.569),
    (0.954, 0.971, 0.968, 0.967),
    (0.628, 0.661, 0.654, 0.657),
    (0.882, 0.888, 0.886, 0.898),
    (0.936, 0.931, 0.916, 0.931),
    (0.661, 0.668, 0.609, 0.685),
    (0.583, 0.583, 0.563, 0.625),
    (0.775, 0.838, 0.866, 0.875),
    (1.000, 1.000, 1.000, 1.000),
    (0.940, 0.962, 0.965, 0.962),
    (0.619, 0.666, 0.614, 0.669),
    (0.972, 0.981, 0.97501, 0.975),
    (0.957, 0.978, 0.946, 0.970),
]


def test_demsars_example() -> None:
    found = ranked(AUC, NAMES)
    assert found is not None
    means = dict(zip(found.methods, found.mean, strict=True))
    assert [means[name] for name in NAMES] == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    assert found.methods == ("C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5")
    assert found.tasks == 14
    assert found.distance == pytest.approx(1.25, abs=5e-3)
    # The paper's statistic, 9.28, has no correction for ties, which scipy's has: it makes the p a little smaller.
    assert found.chance is not None
    assert 0.015 < found.chance < float(chi2.sf(9.28, 3))


@pytest.mark.parametrize(
    ("methods", "quantile"),
    list(zip(range(2, 11), (1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164), strict=True)),
)
def test_the_quantiles_are_those_of_demsars_table(methods: int, quantile: float) -> None:
    expected = quantile * (methods * (methods + 1) / (6 * 14)) ** 0.5
    assert critical_distance(methods, 14) == pytest.approx(expected, abs=1e-3)


def test_groups_that_are_not_told_apart_are_the_widest() -> None:
    ranks = Ranks(("a", "b", "c", "d", "e"), (1.0, 1.5, 2.4, 4.0, 4.2), 6, 0.01, 1.4)
    assert ranks.alike() == [(0, 2), (3, 4)]
    assert Ranks(("a", "b"), (1.0, 2.0), 6, None, 0.5).alike() == []
    assert Ranks(("a", "b", "c"), (1.0, 2.0, 3.0), 6, None, 1.0).alike() == [(0, 1), (1, 2)]


def test_there_are_none_of_one_task_or_method() -> None:
    assert ranked([[0.5, 0.6]], ["a", "b"]) is None
    assert ranked([[0.5], [0.6]], ["a"]) is None


def test_scores_that_are_all_alike_have_no_test() -> None:
    found = ranked([[0.5, 0.5, 0.5]] * 3, ["a", "b", "c"])
    assert found is not None
    assert (found.mean, found.chance) == ((2.0, 2.0, 2.0), None)


def test_two_methods_have_ranks_and_no_friedman() -> None:
    found = ranked([[0.5, 0.6], [0.7, 0.8]], ["a", "b"])
    assert found is not None
    assert (found.methods, found.mean, found.chance) == (("b", "a"), (1.0, 2.0), None)


def test_means_that_are_equal_but_for_the_rounding_of_their_sums_are_ties() -> None:
    """As many right answers of 400, divided among seeds otherwise."""
    ours, theirs = (223, 347, 203, 267, 350), (223, 347, 203, 260, 357)
    pairs = [(ours, theirs), *(((*ours[:3], 267 - k, 350 + k), theirs) for k in range(1, 60))]
    means = [tuple(fmean(right / 400 for right in one) for one in pair) for pair in pairs]
    assert all(sum(map(Fraction, one)) == sum(map(Fraction, other)) for one, other in pairs)
    assert any(one != other for one, other in means)
    found = ranked(means, ("a", "b"))
    assert found is not None
    assert found.mean == (1.5, 1.5)
    assert ranked([(one, other, one) for one, other in means], ("a", "b", "c")) == ranked([(0.5, 0.5, 0.5)] * 60, "abc")
