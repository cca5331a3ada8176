"""Pictures whose places are the values'."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from markupsafe import Markup

from softprompt.compare.formats.drawings import Scale, curves_drawn, interval_drawn, ranks_drawn, scale_of
from softprompt.compare.ranks import Ranks

from ...shared.compared import HOSTILE, compared


def parts(drawn: Markup, kind: str) -> list[dict[str, str]]:
    """The elements of a class; what is drawn is XML."""
    return [one.attrib for one in ET.fromstring(drawn).iter() if kind in one.attrib.get("class", "").split()]


def test_an_interval_stands_where_its_values_are() -> None:
    sheet = compared().sheets[1]
    results = [sheet.results[method, "sst2"] for method in sheet.methods]
    scale = scale_of(results)
    for result in results:
        drawn = interval_drawn(result, scale, 0.5)
        assert result.interval is not None
        (reach,), (mean,), (base,) = (parts(drawn, kind) for kind in ("reach", "mean", "base"))
        assert float(reach["x1"]) == scale.at(result.interval.low)
        assert float(reach["x2"]) == scale.at(result.interval.high)
        assert float(mean["cx"]) == scale.at(result.mean)
        assert float(base["x1"]) == scale.at(0.5)
        assert len(parts(drawn, "seed")) == len(result.scores)
    ends = [end for result in results if result.interval for end in result.interval[:2]]
    assert scale.low <= min(ends) < max(ends) <= scale.high


def test_a_scale_of_one_value_has_a_middle() -> None:
    assert Scale(0.5, 0.5, 0, 10).at(0.5) == 5
    assert Scale(0, 1, 0, 10).at(0.25) == 2.5


def test_ranks_have_a_leader_each_and_a_bar_a_group() -> None:
    ranks = Ranks(("a", HOSTILE, "c", "d"), (1.2, 1.9, 3.0, 3.9), 6, 0.01, 1.2)
    drawn = ranks_drawn(ranks)
    assert len(parts(drawn, "leader")) == 4
    bars = [(float(one["x1"]), float(one["x2"])) for one in parts(drawn, "alike")]
    axis = Scale(1, 4, 250, 550)
    expected = [(ranks.mean[start], ranks.mean[end]) for start, end in ranks.alike()]
    assert bars == [(pytest.approx(axis.at(a) - 4), pytest.approx(axis.at(b) + 4)) for a, b in expected]
    assert "<script" not in drawn
    assert "CD 1.20" in drawn


def test_a_curve_goes_through_its_points_and_breaks_between_stages() -> None:
    drawn = curves_drawn({"1": [(0, 0.5), (10, 0.7), (5, 0.6), (15, 0.9)], "2": [(0, 0.5)]}, "accuracy")
    lines = parts(drawn, "curve")
    assert len(lines) == 2
    points = [tuple(map(float, point.split(","))) for point in re.findall(r"\S+", lines[0]["points"])]
    assert points[0][0] < points[1][0]
    assert points[0][1] > points[1][1]  # upwards is less of y
    assert curves_drawn({"1": [(0, 0.5)]}, "accuracy") == ""
