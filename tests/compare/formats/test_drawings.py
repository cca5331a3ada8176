"""Pictures whose places are the values'."""

from __future__ import annotations

import pytest

from softprompt.compare.formats.drawings import interval_drawn, ranks_drawn, scale_of
from softprompt.compare.ranks import Ranks, ranked
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
    axis = Scale(1, 4, 250, 550)
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
