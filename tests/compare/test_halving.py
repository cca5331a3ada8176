"""Which trials go on beyond the rung: the better half of those so far, and all that are as good as these."""

from __future__ import annotations

import random

import pytest

from softprompt.compare.halving import is_cut, rung_of


@pytest.mark.parametrize("seed", range(4))
def test_the_better_half_so_far_goes_on(seed: int) -> None:
    """With values that are often equal, as those of 32 rows are."""
    chance = random.Random(seed)
    values = [chance.randrange(12) / 32 for _ in range(25)]
    for count in range(1, len(values) + 1):
        so_far = values[:count]
        worst_that_goes_on = sorted(so_far, reverse=True)[max(1, count // 2) - 1]
        assert is_cut(so_far) == (so_far[-1] < worst_that_goes_on)


def test_the_rung_is_a_third_of_the_evaluations() -> None:
    assert [rung_of(count) for count in (1, 2, 3, 8, 9, 30)] == [1, 1, 1, 3, 3, 10]
