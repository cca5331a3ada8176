"""Rows come the longest first, those that begin alike side by side."""

from __future__ import annotations

import pytest

from softprompt.inference.neighbours import longest_first
from softprompt.readouts import Item
from softprompt.tasks import Row
from softprompt.tasks.text.encoding import Encoded


def items(*texts: str) -> list[Item]:
    row = Row(fields={})
    return [Item((Encoded(tuple(map(ord, text)), None, None),), (), None, row) for text in texts]


@pytest.mark.parametrize("alike", [True, False])
def test_rows_that_share_nothing_come_by_their_length(alike: bool) -> None:
    assert longest_first(items("ab", "cdef", "ghi", "jklm"), alike=alike) == [1, 3, 2, 0]


def test_those_that_begin_alike_stand_where_the_longest_of_them_does() -> None:
    rows = items("passage: b?", "another one", "passage: longest?", "short", "passage: a", "another")  # a third alike
    assert longest_first(rows, alike=True) == [4, 0, 2, 5, 1, 3]
    assert longest_first(rows, alike=False) == [2, 0, 1, 4, 5, 3]


def test_each_row_comes_once() -> None:
    rows = items("aaaa", "aaaa", "aab", "", "b", "bb")
    assert sorted(longest_first(rows, alike=True)) == [0, 1, 2, 3, 4, 5]
