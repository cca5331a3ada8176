"""The pictures of a choice of layers hold the figures that they are drawn from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from softprompt.compare.layers import summed
from softprompt.explain.layers import (
    apart,
    arm_difference,
    arms_figure,
    gates_figures,
    kept_figures,
    layers_page,
    strip,
)
from softprompt.pages.colours import STEPS

from ..shared.pages import marks


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


def test_gates_over_turns_have_colours_from_0_to_1(found: dict[str, Any]) -> None:
    first, second = gates_figures(found)
    assert first.table.rows == (("0", "0.5", "0.6"), ("1", "0.4", "0.3"), ("2", "0.6", "0.7"))
    assert second.table.rows == (("0", "0.5"), ("1", "0.5"), ("2", "0.9"))
    # Gates that hardly moved stay near the middle's grey, whatever the others do.
    found["gates"]["learned:2"]["1"] = [[0.5, 0.51, 0.49]]
    quiet = gates_figures(found)[0].picture
    assert len(marks(quiet, f"d{STEPS // 2}")) == 1 + 3  # a step of the bar, and the cells
    assert [one.title for one in (first, second)] == ["Gates of learned:2, seed 1", "Gates of learned:2, seed 2"]


def test_layers_and_arms(found: dict[str, Any]) -> None:
    (kept,) = kept_figures(found)
    assert kept.table.columns == ("layer", "seed 1", "seed 2")
    assert kept.table.rows == (("0", "kept 1", "0"), ("1", "0", "kept 1"), ("2", "kept 1", "kept 1"))
    arms = arms_figure(found)
    assert [row[:2] for row in arms.table.rows] == [("learned:2", "0.85"), ("first:2", "0.725"), ("head_only", "0.65")]
    assert [row[4] for row in arms.table.rows] == ["0.8 0.9", "0.7 0.75", "0.6 0.7"]
    assert len(marks(arms.picture, "seed")) == 6
    assert len(marks(arms.picture, "base")) == 3  # the reference's mean, a piece in each line
    assert not marks(arms.picture, "bar")


def test_no_mean_is_marked_that_no_test_tells_apart(found: dict[str, Any]) -> None:
    assert apart(found) == "After Holm's correction no arm differs from learned:2 (p < 0.05)."
    found["arms"][1]["difference"]["p_holm"] = 0.01
    assert apart(found) == "After Holm's correction first:2 differs from learned:2 (p < 0.05)."


def test_the_page_is_whole_and_escaped(found: dict[str, Any], tmp_path: Path) -> None:
    page = layers_page(found, tmp_path / "page.html", "Layers").read_text(encoding="utf-8")
    assert page.count("<figure ") == 4
    assert "words &lt;b&gt;, tiny, 8 test rows, seeds 1, 2." in page
    assert '<td class="n">-0.125</td>' in page
    assert "torch 2" in page
    assert 'class="best"' not in page


def test_a_page_without_a_search_has_no_gates(found: dict[str, Any], tmp_path: Path) -> None:
    found = {**found, "gates": {}, "arms": found["arms"][1:], "reference": "first:2"}
    page = layers_page(found, tmp_path / "page.html", "Layers").read_text(encoding="utf-8")
    assert page.count("<figure ") == 2
