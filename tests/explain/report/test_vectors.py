"""Norms, similarities and what a course settled, from the folder alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from softprompt.explain.report.run_files import read_run_files
from softprompt.explain.report.vectors import alike, course_parts, norms
from softprompt.pages.parts import Facts, Figure

from ...shared.run_folders import cell


def test_norms_and_cosines_are_the_tables() -> None:
    table = torch.tensor([[3.0, 4.0], [0.0, 2.0], [-3.0, -4.0]])
    assert [row[1] for row in norms(table, []).table.rows] == ["5", "2", "5"]
    (figure,) = alike(table, [])
    assert [row[1:] for row in figure.table.rows] == [("1", "0.8", "-1"), ("0.8", "1", "-0.8"), ("-1", "-0.8", "1")]
    assert f"{(0.8 - 1 - 0.8) / 3:.3f}" in figure.caption
    assert alike(table[:1], []) == []


def test_layers_are_named_by_their_numbers() -> None:
    table = torch.tensor([[[3.0, 4.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]]])
    (first, second) = norms(table, [2, 5]).table.rows
    assert (first[0], first[1], first[2]) == ("layer 2", "3", "5 1")
    assert (second[0], second[1]) == ("layer 5", "1")
    assert alike(table, [2, 5])[0].table.columns == ("layer", "2", "5")


def test_what_a_course_settled(tmp_path: Path) -> None:
    course = {
        "kept_layers": [0, 2],
        "gates": [0.7, 0.2, 0.9],
        "mixture_weights": [0.25, 0.75],
        "pruned": {"tokens_pruned": [1], "tried": []},
    }
    facts, gates, weights = course_parts(read_run_files(cell(tmp_path / "run", course=course)))
    assert isinstance(facts, Facts)
    assert ("kept layers", "0, 2") in facts.pairs
    assert ("pruned: tokens pruned", "1") in facts.pairs
    assert isinstance(gates, Figure)
    assert [(row[1], row[-1]) for row in gates.table.rows] == [("0.7", "kept"), ("0.2", ""), ("0.9", "kept")]
    assert isinstance(weights, Figure)
    assert weights.table.foot == ("equal: 0.5",)
    assert course_parts(read_run_files(cell(tmp_path / "plain"))) == []


@pytest.mark.parametrize("count", [1, 50])
def test_only_some_of_many_are_drawn(count: int) -> None:
    found = alike(torch.randn(count, 4), [])
    assert len(found) == (count > 1)
    assert all(len(one.table.rows) == 40 for one in found)
