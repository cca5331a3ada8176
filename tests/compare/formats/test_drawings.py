"""Pictures whose places are the values'."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from softprompt.compare.formats.drawings import interval_drawn, ranks_drawn, scale_of
from softprompt.compare.ranks import Ranks, ranked
from softprompt.pages.marks import LETTER
from softprompt.pages.scale import Scale

from ...shared.compared import HOSTILE, compared
from ...shared.pages import marks


def test_an_interval_stands_where_its_values_are() -> None:
    sheet = compared().sheets[1]
    results = [sheet.results[method, "sst2"] for method in sheet.methods]
    scale = scale_of(results)
    for result in results:
        drawn = interval_drawn(result, scale, 0.5)
        assert result.interval is not None
        (reach,), (mean,), (base,) = (marks(drawn, kind) for kind in ("reach", "mean", "base"))
        assert float(reach["x1"]) == scale.at(result.interval.low)
        assert float(reach["x2"]) == scale.at(result.interval.high)
        assert float(mean["cx"]) == scale.at(result.mean)
        assert float(base["x1"]) == scale.at(0.5)
        assert len(marks(drawn, "seed")) == len(result.scores)
    ends = [end for result in results if result.interval for end in result.interval[:2]]
    assert scale.low <= min(ends) < max(ends) <= scale.high


def test_ranks_have_a_leader_each_and_a_bar_a_group() -> None:
    ranks = Ranks(("a", HOSTILE, "c", "d"), (1.2, 1.9, 3.0, 3.9), 6, 0.01, 1.2)
    drawn = ranks_drawn(ranks)
    assert len(marks(drawn, "leader")) == 4
    bars = [(float(one["x1"]), float(one["x2"])) for one in marks(drawn, "alike")]
    (drawn_axis,) = [one for one in marks(drawn, "axis") if one["y1"] == one["y2"]]
    axis = Scale(1, 4, float(drawn_axis["x1"]), float(drawn_axis["x2"]))
    expected = [(ranks.mean[start], ranks.mean[end]) for start, end in ranks.alike()]
    assert bars == [(pytest.approx(axis.at(a) - 4), pytest.approx(axis.at(b) + 4)) for a, b in expected]
    assert "<script" not in drawn
    assert "CD 1.20" in drawn


@pytest.mark.parametrize(("count", "tasks"), [(2, 2), (3, 2), (6, 5), (20, 2), (4, 30)])
def test_the_distance_is_drawn_as_long_as_it_is(count: int, tasks: int) -> None:
    """Of few tasks it is longer than the axis of ranks: what ends where the axis does would be another number."""
    names = [f"m{place}" for place in range(count)]
    ranks = ranked([[float(place) for place in range(count)]] * tasks, names)
    assert ranks is not None
    drawn = ranks_drawn(ranks)
    (bar,) = marks(drawn, "reach")
    a_rank = 300 / (count - 1)
    assert float(bar["x2"]) - float(bar["x1"]) == pytest.approx(ranks.distance * a_rank, abs=0.2)
    assert float(bar["x2"]) < 800


def test_methods_that_differ_at_the_end_of_their_names_are_told_apart() -> None:
    names = [f"vfpt (learning_rate=0.1, warmup_ratio=0.{place})" for place in range(3)]
    ranks = ranked([[1.0, 2.0, 3.0]] * 3, names)
    assert ranks is not None
    drawn = ranks_drawn(ranks)
    assert all(name in drawn for name in names)
    root = ET.fromstring(drawn)
    for one in root.iter("text"):
        ends = {"start": (0, 1), "end": (-1, 0), "middle": (-0.5, 0.5)}[one.attrib["text-anchor"]]
        wide = LETTER * len(one.text or "")
        places = [float(one.attrib["x"]) + end * wide for end in ends]
        assert 0 <= places[0] <= places[1] <= float(root.attrib["width"])
