"""Places of values, and the round numbers beside them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softprompt.pages.scale import Scale, around, ticks, told


def test_a_scale_of_one_value_has_a_middle() -> None:
    assert Scale(0.5, 0.5, 0, 10).at(0.5) == 5
    assert Scale(0, 1, 0, 10).at(0.25) == 2.5
    assert Scale(0, 1, 10, 0).at(0.25) == 7.5  # upwards is less of y


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ((0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1]),
        ((0.52, 0.69), [0.55, 0.6, 0.65]),
        ((-1, 1), [-1, -0.5, 0, 0.5, 1]),
        ((0, 40), [0, 10, 20, 30, 40]),
        ((3, 3), [3]),
    ],
)
def test_ticks_are_round(ends: tuple[float, float], expected: list[float]) -> None:
    assert ticks(*ends) == pytest.approx(expected)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
@settings(max_examples=60, deadline=None)
def test_ticks_lie_between_the_ends_at_equal_steps(low: float, size: float) -> None:
    high = low + size
    found = ticks(low, high)
    assert all(low - 1e-6 * size - 1e-6 <= one <= high + 1e-6 * size + 1e-6 for one in found)
    assert len(found) <= 7


def test_numbers_as_they_are_told() -> None:
    expected = {
        0.0: "0",
        0.5: "0.5",
        0.66171: "0.662",
        12.0: "12",
        1234.5: "1,234",
        0.00012: "0.00012",
        -0.0312: "-0.0312",
    }
    assert {value: told(value) for value in expected} == expected


def test_room_around_equal_values() -> None:
    low, high = around([2.0, 2.0])
    assert low < 2 < high
