"""A curve goes through its points and breaks between stages; series have colours and forms of their own."""

from __future__ import annotations

import re

from softprompt.pages.plane import Plane, Series, plane, rising

from ..shared.pages import marks, words


def test_a_curve_goes_through_its_points_and_breaks_between_stages() -> None:
    points = ((0.0, 0.5), (10.0, 0.7), (5.0, 0.6), (15.0, 0.9))
    assert rising(points) == [[(0, 0.5), (10, 0.7)], [(5, 0.6), (15, 0.9)]]
    figure = plane("t", "c", [Series("one", points, chosen=((10.0, 0.7), "kept state"))], Plane("step", "accuracy"))
    lines = marks(figure.picture, "curve")
    assert len(lines) == 2
    first = [tuple(map(float, point.split(","))) for point in re.findall(r"\S+", lines[0]["points"])]
    assert first[0][0] < first[1][0]
    assert first[0][1] > first[1][1]  # upwards is less of y
    (chosen, _) = marks(figure.picture, "chosen")
    assert (float(chosen["cx"]), float(chosen["cy"])) == first[1]
    assert figure.table.foot == ("kept state: one at 10, 0.7",)


def test_points_are_not_joined_and_the_legend_names_all() -> None:
    series = [Series(f"label {place}", ((0.0, float(place)), (1.0, 2.0)), joined=False) for place in range(6)]
    figure = plane("t", "c", series, Plane("a", "b", (0, 1), (0, 6), (((0, 0), (1, 1), "equal"),)))
    assert not marks(figure.picture, "curve")
    assert [len(marks(figure.picture, f"f{place}")) for place in range(6)] == [3] * 6  # two points and the legend's
    assert {*(one.name for one in series), "equal"} <= set(words(figure.picture))
    heights = [float(one["y1"]) for one in marks(figure.picture, "base")]
    assert len(heights) == 2
    assert len(figure.table.rows) == 12


def test_a_long_curve_has_no_marks() -> None:
    points = tuple((float(step), 0.0) for step in range(200))
    assert len(marks(plane("t", "c", [Series("one", points)], Plane("a", "b")).picture, "f0")) == 1  # the legend's
