"""Neighbours that begin alike meet in a front where that leaves columns out."""

from __future__ import annotations

import pytest
import torch

from softprompt.sites.common_fronts import common_fronts, rows_of


def fronts(*rows: str) -> list[tuple[int, int]]:
    """How many rows each front has, and how many columns; a letter is a token."""
    width = max(map(len, rows))
    ids = torch.tensor([[ord(one) for one in row.ljust(width, ".")] for row in rows])
    return [(one.rows, one.columns) for one in common_fronts(ids, [len(row) for row in rows])]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (["abcdef"], [(1, 6)]),
        (["abcdefx", "abcdefyz", "abcdef"], [(3, 6)]),
        (["abcabc", "abcabc"], [(2, 6)]),
        (["abcdefx", "abcdefy", "ghijk", "ghijkl"], [(2, 6), (2, 5)]),
        # What begins alike for a token or two is left as it is.
        (["abcdefgh", "abxxxxxx", "abyyyyyy"], [(1, 8), (1, 8), (1, 8)]),
        # A shorter front that more rows have leaves more out than a longer one of two.
        (["abcdefghx", "abcdefghy", "abcdefxy", "abcdefzz"], [(4, 6)]),
        # And one of two rows may leave more out than all have.
        (["abcdefghijkx", "abcdefghijky", "abcdxxxxxxxx"], [(2, 11), (1, 12)]),
        # Padding is no part of a front.
        (["abc.", "abc"], [(2, 3)]),
    ],
)
def test_which_rows_meet(rows: list[str], expected: list[tuple[int, int]]) -> None:
    assert fronts(*rows) == expected


def test_fronts_that_leave_little_out_are_not_taken() -> None:
    alone = [chr(200 + row) * 20 for row in range(20)]
    assert fronts(*alone, "abcd", "abcd") == [(1, 20)] * 20 + [(1, 4)] * 2


def test_rows_of_another_kind_do_not_meet() -> None:
    ids = torch.tensor([[1, 2, 3]] * 4)
    found = common_fronts(ids, [3] * 4, ["one", "one", "other", "other"])
    assert [(one.rows, one.columns) for one in found] == [(2, 3), (2, 3)]


def test_the_front_of_each_row() -> None:
    found = common_fronts(torch.tensor([[1, 2, 3], [1, 2, 3], [4, 5, 6], [1, 2, 3]]), [3, 3, 3, 3])
    assert rows_of(found, torch.device("cpu")).tolist() == [0, 0, 1, 2]
