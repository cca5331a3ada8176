"""A dot stands where its value is on the scale, with interval, rings, lines and band."""

from __future__ import annotations

import pytest

from softprompt.pages.dots import WIDE, Axis, Dot, dots
from softprompt.pages.scale import Scale

from ..shared.pages import marks, words

ITEMS = [
    Dot("one", 0.5, (0.4, 0.7), rings=(0.45, 0.55), note="8 rows"),
    Dot("two", 0.9, others=(0.2,)),
    Dot("none", None),
]


def test_marks_stand_where_their_values_are() -> None:
    figure = dots("title", "caption", ITEMS, Axis("share", (0, 1), {"chance": 0.25}, (0.1, 0.3, "random")), ("random",))
    scale = Scale(0, 1, 14, WIDE - 14)
    (first, second, _) = marks(figure.picture, "f0")  # the last is the legend's
    assert [float(one["cx"]) for one in (first, second)] == [scale.at(0.5), scale.at(0.9)]
    (reach, *ends) = marks(figure.picture, "reach")
    assert (float(reach["x1"]), float(reach["x2"])) == (scale.at(0.4), scale.at(0.7))
    assert len(ends) == 2
    assert [float(one["cx"]) for one in marks(figure.picture, "seed")] == [scale.at(0.45), scale.at(0.55)]
    assert {float(one["x1"]) for one in marks(figure.picture, "base")} == {scale.at(0.25)}
    bands = marks(figure.picture, "band")  # a piece in each line
    assert {float(one["x"]) for one in bands} == {scale.at(0.1)}
    assert float(bands[0]["width"]) == pytest.approx(scale.at(0.3) - scale.at(0.1))
    assert len(bands) == len(ITEMS)
    assert len(marks(figure.picture, "f1")) == 2  # the other mark, and the legend's
    assert "0.5 [0.4, 0.7]  8 rows" in words(figure.picture)


def test_the_table_holds_the_same_numbers() -> None:
    table = dots("title", "caption", ITEMS, Axis("share", None, {"chance": 0.25}), ("random",)).table
    assert table.columns == ("", "share", "from", "to", "random", "of these", "rows")
    assert table.rows[0] == ("one", "0.5", "0.4", "0.7", "", "0.45 0.55", "8 rows")
    assert table.rows[1] == ("two", "0.9", "", "", "0.2", "", "")
    assert table.rows[2][:2] == ("none", "")
    assert table.foot == ("chance: 0.25",)


def test_a_scale_without_ends_holds_every_value_and_line() -> None:
    figure = dots("t", "c", ITEMS, Axis("x", None, {"chance": -3.0}))
    places = [float(one["x1"]) for one in marks(figure.picture, "base")]
    assert all(0 <= place <= WIDE for place in places)
