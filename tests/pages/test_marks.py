"""Marks are XML whatever stands in them."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from softprompt.pages.marks import SERIES, box, course, cut, dot, line, picture, shape, text

BAD = '<b a="1">&\x1b'


def test_every_mark_is_xml_and_tells_what_it_is() -> None:
    parts = [line("grid", (0, 0), (1, 2)), course("curve s1", [(0, 0), (1.5, 2)]), text(1, 2, BAD, turned=-45)]
    parts += [box("h1", (0, 0), 3, -1, BAD), dot("seed", (1, 1), told=BAD), *(shape(n, (5, 5), BAD) for n in range(7))]
    drawn = ET.fromstring(picture("plot", 10, 20, BAD, parts))
    told = '<b a="1">&\\x1b'
    assert drawn.attrib["aria-label"] == told
    assert [one.text for one in drawn.iter("title")] == [told] * 9
    assert drawn.find("rect") is not None
    assert next(drawn.iter("rect")).attrib["height"] == "0"


def test_series_have_forms_of_their_own() -> None:
    forms = [shape(place, (0, 0)).split("points=")[-1] for place in range(SERIES)]
    assert len(set(forms)) == SERIES
    assert shape(SERIES, (0, 0)) == shape(0, (0, 0))


def test_long_names_end_in_dots() -> None:
    assert cut("abc", 100) == "abc"
    assert cut("a" * 50, 72) == "a" * 9 + "…"
