"""Heat maps: well-formed, on one scale, and whatever the tokens are."""

from __future__ import annotations

import math
from xml.etree import ElementTree

from softprompt.explain.anchors.heat_map import Panel, colour, heat_maps

SVG = "{http://www.w3.org/2000/svg}"


def fills(drawn: str) -> list[str]:
    """The colours of the cells, without those of the ground and of the scale."""
    marks = [one for one in ElementTree.fromstring(drawn).iter(f"{SVG}rect") if one.get("class") is None]
    return [str(one.get("fill")) for one in marks if one.get("height") == "13.5"]


def test_two_maps_have_one_scale_and_what_is_hidden_has_no_colour() -> None:
    panels = [Panel("one", ["a"], ["x", "y"], [[0.0, 1.0]]), Panel("two", ["a"], ["x", "y"], [[2.0, math.nan]])]
    assert fills(heat_maps(panels, legend="weight", told="two maps")) == [
        colour(0), colour(0.5), colour(1), "url(#hidden)",
    ]  # fmt: skip
    assert fills(heat_maps([Panel("", ["a"], ["x", "y"], [[1.0, 2.0]])], legend="", told="")) == [colour(0), colour(1)]
    from_zero = heat_maps([Panel("", ["a"], ["x", "y"], [[1.0, 2.0]])], legend="", told="", from_zero=True)
    assert fills(from_zero) == [colour(0.5), colour(1)]


def test_nothing_of_a_text_is_markup() -> None:
    bad = "<script>&\x1b"
    drawn = heat_maps([Panel(bad, [bad], [bad], [[1.0]])], legend=bad, told=bad)
    found = ElementTree.fromstring(drawn)
    assert next(iter(found)).text is not None
    assert "<script" not in drawn
    assert "\x1b" not in drawn
    assert "http" not in drawn.replace("http://www.w3.org/2000/svg", "")


def test_lighter_is_more() -> None:
    """The relative luminance rises all along, so that the map can be read in grey."""

    def light(share: float) -> float:
        red, green, blue = (int(colour(share)[at : at + 2], 16) for at in (1, 3, 5))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    shades = [light(step / 50) for step in range(51)]
    assert shades == sorted(shades)
    assert colour(-1) == colour(0)
    assert colour(2) == colour(1)
