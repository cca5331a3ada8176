"""The pictures of a choice of layers hold the figures that they are drawn from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from softprompt.compare.layers import summed
from softprompt.explain.layers import arm_difference, arms_figure, gates_figure, layers_page, strip


def run(seed: int, value: float, kept: list[int] | None) -> dict[str, Any]:
    return {
        "seed": seed,
        "metric": "accuracy",
        "test": {"accuracy": value, "interval": [value - 0.1, value + 0.1]},
        "train_seconds": 10.0 * seed,
        "trained_parameters": 100,
        "stored_parameters": 90 + seed,
        **({} if kept is None else {"kept_layers": kept}),
    }


@pytest.fixture
def found() -> dict[str, Any]:
    runs = {
        "learned:2": [run(1, 0.8, [0, 2]), run(2, 0.9, [1, 2])],
        "first:2": [run(1, 0.7, [0, 1]), run(2, 0.75, [0, 1])],
        "head_only": [run(1, 0.6, None), run(2, 0.7, None)],
    }
    return {
        "task": "words <b>",
        "method": "spt",
        "backbone": "tiny",
        "metric": "accuracy",
        "rows": 8,
        "layers": 3,
        "keep": 2,
        "seeds": [1, 2],
        "reference": "learned:2",
        "test": "paired t test",
        "arms": summed(runs, "learned:2", 3),
        "gates": {"learned:2": {"1": [[0.5, 0.4, 0.6], [0.6, 0.3, 0.7]], "2": [[0.5, 0.5, 0.9]]}},
        "versions": {"torch": "2"},
    }


def test_the_figures_over_seeds(found: dict[str, Any]) -> None:
    learned, first, head = found["arms"]
    assert learned["share"] == [0.5, 0.5, 1.0]
    assert first["share"] == [1.0, 1.0, 0.0]
    assert head["share"] is None
    assert (learned["seconds"], learned["stored_parameters"]) == (15.0, 92)
    assert learned["runs"][1] == {
        "seed": 2, "value": 0.9, "interval": [0.8, 1.0], "seconds": 20.0, "kept_layers": [1, 2]
    }  # fmt: skip
    assert learned["difference"] is None
    assert first["difference"]["mean"] == pytest.approx(-0.125)
    assert head["difference"]["p"] is None  # both differences are 0.2: nothing varies


def test_marks_of_layers() -> None:
    assert strip([0.0, 0.05, 0.5, 1.0]) == "·▁▅█"
    assert strip(None) == ""


def test_a_difference_in_words(found: dict[str, Any]) -> None:
    learned, first, head = found["arms"]
    assert arm_difference(learned) == ("", "", "", "")
    assert arm_difference(head) == ("-0.200", "", "", "")
    mean, interval, p, adjusted = arm_difference(first)
    assert mean == "-0.125"
    assert interval == "-0.443 to +0.193"  # t is 5 and its 97.5 % point 12.706: -0.125 -+ 12.706 * 0.025
    assert p == adjusted == "0.126"


def test_gates_over_turns(found: dict[str, Any]) -> None:
    figure = gates_figure(found)
    assert [trace.type for trace in figure.data] == ["heatmap", "heatmap"]
    assert [list(row) for row in figure.data[0].z] == [[0.5, 0.6], [0.4, 0.3], [0.6, 0.7]]
    assert list(figure.data[0].x) == [1, 2]
    assert [list(row) for row in figure.data[1].z] == [[0.5], [0.5], [0.9]]
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == pytest.approx((0.1, 0.9))
    assert [note.text for note in figure.layout.annotations] == ["learned:2, seed 1", "learned:2, seed 2"]


def test_layers_and_arms(found: dict[str, Any]) -> None:
    grid, bars, points = arms_figure(found).data
    assert [list(row) for row in grid.z] == [[1, 0], [0, 1], [1, 1]]
    assert list(grid.x) == ["seed 1", "seed 2"]
    assert list(bars.x) == ["learned:2", "first:2", "head_only"]
    assert list(bars.y) == pytest.approx([0.85, 0.725, 0.65])
    assert list(bars.error_y.array) == [arm["deviation"] for arm in found["arms"]]
    assert list(points.x) == ["learned:2", "learned:2", "first:2", "first:2", "head_only", "head_only"]
    assert list(points.y) == [0.8, 0.9, 0.7, 0.75, 0.6, 0.7]


def test_the_page_is_whole_and_escaped(found: dict[str, Any], tmp_path: Path) -> None:
    page = layers_page(found, tmp_path / "page.html", "Layers").read_text(encoding="utf-8")
    assert page.count("plotly.js v") == 1
    assert page.count('class="plotly-graph-div"') == 2
    assert "words &lt;b&gt;, tiny, 8 test rows, seeds 1, 2." in page
    assert '<tr class="best"><td>learned:2</td>' in page
    assert "<td>-0.125</td>" in page
    assert "torch 2" in page


def test_a_page_without_a_search_has_no_gates(found: dict[str, Any], tmp_path: Path) -> None:
    found = {**found, "gates": {}, "arms": found["arms"][1:], "reference": "first:2"}
    page = layers_page(found, tmp_path / "page.html", "Layers").read_text(encoding="utf-8")
    assert page.count('class="plotly-graph-div"') == 1
