"""A cell has the colour of its value on the scale that was given, and empty cells none."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

from softprompt.pages.colours import STEPS
from softprompt.pages.heat import Cells, Colours, heat
from softprompt.pages.marks import LETTER

from ..shared.pages import marks, words


def test_cells_have_the_colours_of_their_values() -> None:
    cells = Cells([[0.0, 1.0], [None, 0.5]], ["a", "b"], ["x", "y"], [["no", "yes"], ["", "half"]], "across", "down")
    figure = heat("t", "c", cells, Colours("share", 0, 1))
    bar = 1  # each step stands once in the bar below
    counts = {step: len(marks(figure.picture, f"h{step}")) - bar for step in range(STEPS + 1)}
    assert {step: count for step, count in counts.items() if count} == {0: 1, STEPS // 2: 1, STEPS: 1}
    assert figure.table.rows == (("a", "no 0", "yes 1"), ("b", "", "half 0.5"))
    assert {"no", "yes", "half", "across", "down", "share"} <= set(words(figure.picture))


def test_a_scale_does_not_follow_the_values() -> None:
    figure = heat("t", "c", Cells([[0.49, 0.51]], ["a"], ["x", "y"]), Colours("gate", 0, 1, two_ways=True))
    assert len(marks(figure.picture, f"d{STEPS // 2}")) == 1 + 2


def test_many_columns_take_the_whole_width() -> None:
    numbers = [str(place) for place in range(40)]
    wide = heat("t", "c", Cells([[0.1] * 40], ["a"], numbers, groups=[("all", 0, 40)]), Colours("share", 0, 1))
    assert wide.wide
    assert "all" in words(wide.picture)
    assert not heat("t", "c", Cells([[0.1]], ["a"], ["b"]), Colours("share", 0, 1)).wide


def test_the_last_name_is_not_cut() -> None:
    """It leans out over its column, and the picture is as wide as it reaches."""
    names = [*map(str, range(29)), "another name"]
    drawn = heat("t", "c", Cells([[0.1] * 30], ["row"], names), Colours("share", 0, 1)).picture
    wide = float(ET.fromstring(drawn).attrib["viewBox"].split()[2])
    last = next(one for one in ET.fromstring(drawn).iter("text") if one.text == names[-1])
    assert float(last.attrib["x"]) + len(names[-1]) * LETTER * math.cos(math.pi / 4) <= wide + 1
