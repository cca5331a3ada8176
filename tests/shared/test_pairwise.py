"""What is left of a product still has every two values together."""

from __future__ import annotations

from itertools import combinations, product

import pytest

from .pairwise import pairwise

SIZES = [(), (3,), (4, 3), (9, 9, 2), (4, 6, 7), (6, 3, 6), (3, 4, 2, 2), (1, 5, 2)]


def pairs(cases: list[tuple[str, ...]]) -> set[object]:
    return {pair for case in cases for pair in combinations(enumerate(case), 2)}


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("holes", [False, True])
def test_every_two_values_meet(sizes: tuple[int, ...], holes: bool) -> None:
    """In a whole product, and in one where a fifth of the combinations does not exist."""
    full = list(product(*([f"v{value}" for value in range(size)] for size in sizes)))
    full = [case for place, case in enumerate(full) if not holes or place % 5]
    kept = pairwise({case: case for case in full})
    assert pairs(kept) == pairs(full)
    assert len(set(kept)) == len(kept)
    assert kept == pairwise({case: case for case in full})


def test_much_is_left_out() -> None:
    full = list(product("abcdefghi", "ABCDEFGHI", "01"))
    assert len(pairwise({case: case for case in full})) == 81
    four = list(product("abcdefghi", "ABCD", "01", "xy"))
    assert len(pairwise({case: case for case in four})) == 36
