"""Intervals and tests over rows and seeds, beside ones that are worked out otherwise."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binomtest

from softprompt.compare.resampling import Answered, Units, chance_over_rows, interval
from softprompt.tasks.metrics import Array

Hits = list[list[int]]  # by seed


def units(hits: Hits, rows: str | None = "same") -> Units:
    """Answers of accuracy, right or wrong; without a word each seed has rows of its own."""
    own = {seed: np.array([[hit, 1.0] for hit in one]) for seed, one in enumerate(hits)}
    return Units.of("accuracy", {seed: Answered(rows or f"of {seed}", sums) for seed, sums in own.items()})


def table(seed: int, seeds: int, rows: int, spread: tuple[float, float] = (0.0, 0.0)) -> Array:
    """Hits of seeds and rows that are easier and harder."""
    chance = np.random.default_rng(seed)
    easy = chance.normal(0, 1, rows)[None] + chance.normal(0, spread[0], seeds)[:, None] + spread[1]
    return (easy + chance.normal(0, 1, (seeds, rows)) > 0).astype(float)


def test_an_interval_of_one_seed_is_that_of_a_share_of_rows() -> None:
    hits = [1] * 160 + [0] * 40
    low, high = interval(units([hits])) or (0, 0)
    error = 1.96 * math.sqrt(0.8 * 0.2 / 200)
    assert (low, high) == pytest.approx((0.8 - error, 0.8 + error), abs=0.01)


def test_rows_are_drawn_for_all_seeds_together() -> None:
    """Seeds that answer alike tell no more than one of them: the interval must not shrink with their number."""
    hits = [int(one) for one in table(1, 1, 200)[0]]
    one, many = interval(units([hits])), interval(units([hits] * 8))
    assert one is not None
    assert many is not None
    assert many[1] - many[0] == pytest.approx(one[1] - one[0], rel=0.1)


def test_it_is_the_pigeonhole_bootstrap() -> None:
    """Against one that is written out here: both factors drawn, and the mean of what lies at the crossings."""
    hits = table(2, 5, 80, (0.5, 0.3))
    found = interval(units(hits.astype(int).tolist()))
    chance = np.random.default_rng(5)
    means = []
    for _ in range(4000):
        seeds, rows = chance.integers(0, 5, 5), chance.integers(0, 80, 80)
        means.append(hits[np.ix_(seeds, rows)].mean())
    assert found == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])), abs=0.012)


def test_seeds_with_rows_of_their_own_keep_them_apart() -> None:
    hits = table(3, 3, 60).astype(int).tolist()
    shared, own = interval(units(hits)), interval(units(hits, None))
    assert shared is not None
    assert own is not None
    assert own[1] - own[0] < shared[1] - shared[0]
    assert not units(hits).matches(units(hits, None))
    assert units(hits, None).matches(units(hits, None))


def test_a_single_row_has_no_interval() -> None:
    assert interval(units([[1]])) is None


def exact(ours: Hits, theirs: Hits) -> float:
    """All ways to exchange rows, one by one."""
    gaps = np.mean(np.array(ours, dtype=float) - np.array(theirs, dtype=float), axis=0)
    ways = [
        abs(sum(sign * gap for sign, gap in zip(signs, gaps, strict=True)))
        for signs in itertools.product((1, -1), repeat=len(gaps))
    ]
    return float(np.mean([way >= abs(gaps.sum()) - 1e-12 for way in ways]))


@pytest.mark.parametrize("seeds", [1, 3])
def test_few_rows_are_exchanged_in_all_ways(seeds: int) -> None:
    ours, theirs = (table(one, seeds, 9, (0.1, place)).astype(int).tolist() for one, place in ((4, 0.6), (5, -0.3)))
    assert chance_over_rows(units(ours), units(theirs)) == pytest.approx(exact(ours, theirs))


def test_of_one_seed_it_is_mcnemars_test() -> None:
    """Exchanging discordant pairs is the binomial test of them."""
    ours, theirs = [1] * 30 + [0] * 12 + [1] * 50, [0] * 30 + [1] * 12 + [1] * 50
    expected = binomtest(30, 42, 0.5).pvalue
    assert chance_over_rows(units([ours]), units([theirs])) == pytest.approx(expected, abs=0.004)


def test_seeds_that_answer_alike_make_no_difference_surer() -> None:
    ours, theirs = [[1, 1, 1, 1, 1, 0, 1, 1]], [[0, 0, 1, 0, 1, 1, 0, 1]]
    one = chance_over_rows(units(ours), units(theirs))
    assert chance_over_rows(units(ours * 10), units(theirs * 10)) == pytest.approx(one)


def test_under_the_hypothesis_small_ps_are_rare() -> None:
    found = []
    for trial in range(150):
        both = table(100 + trial, 6, 40)
        p = chance_over_rows(units(both[:3].astype(int).tolist()), units(both[3:].astype(int).tolist()))
        found.append(1.0 if p is None else p)
    assert np.mean(np.array(found) <= 0.1) < 0.17


def test_equal_answers_have_no_test() -> None:
    hits = [[1, 0, 1], [0, 0, 1]]
    assert chance_over_rows(units(hits), units(hits)) is None


def test_a_single_row_that_differs_shows_nothing() -> None:
    ours, theirs = [[1, 0, 1, 1]], [[1, 0, 0, 1]]
    assert chance_over_rows(units(ours), units(theirs)) == exact(ours, theirs) == 1.0


def test_a_metric_that_is_no_mean_is_made_of_exchanged_sums() -> None:
    """Macro-F1, by hand over all ways."""
    label = [0, 1, 0, 1, 1, 0]
    ours, theirs = [0, 1, 0, 1, 0, 0], [1, 1, 0, 0, 1, 1]

    def f1(given: list[int]) -> float:
        scores = []
        for one in (0, 1):
            both = sum(a == b == one for a, b in zip(label, given, strict=True))
            scores.append(2 * both / (label.count(one) + given.count(one)))
        return sum(scores) / 2

    def sums(given: list[int]) -> Answered:
        # Right, predicted and real, class by class.
        pairs = zip(label, given, strict=True)
        rows = [[hit for one in (0, 1) for hit in (a == b == one, b == one, a == one)] for a, b in pairs]
        return Answered("same", np.array(rows, dtype=float))

    gaps = []
    for swaps in itertools.product((False, True), repeat=6):
        one = [b if swap else a for a, b, swap in zip(ours, theirs, swaps, strict=True)]
        other = [a if swap else b for a, b, swap in zip(ours, theirs, swaps, strict=True)]
        gaps.append(abs(f1(one) - f1(other)))
    expected = np.mean([gap >= abs(f1(ours) - f1(theirs)) - 1e-12 for gap in gaps])
    found = [Units.of("macro_f1", {1: sums(given)}) for given in (ours, theirs)]
    assert chance_over_rows(*found) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3, 6))
def test_a_way_that_gives_the_same_difference_is_as_large_however_its_sums_round(seed: int) -> None:
    """Counted in whole numbers, with which nothing rounds: 11 of 277 rows are answered otherwise."""
    ours = table(seed, 5, 277).astype(int)
    theirs = np.concatenate([table(100 + seed, 5, 277).astype(int)[:, :11], ours[:, 11:]], axis=1)
    moves = (ours - theirs).sum(axis=0)[:11]
    ways = np.array(list(itertools.product((-1, 1), repeat=11))) @ moves
    expected = np.mean(np.abs(ways) >= abs(moves.sum()))
    assert chance_over_rows(units(ours.tolist()), units(theirs.tolist())) == pytest.approx(expected)
