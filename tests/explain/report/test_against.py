"""Two runs row by row: the exact test of the rows on which they differ, and refusals."""

from __future__ import annotations

from math import comb
from pathlib import Path

import pytest

from softprompt.explain.report.against import against_section, mcnemar
from softprompt.explain.report.run_files import read_run_files

from ...shared.run_folders import cell, diverged


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (1, 0), (9, 2), (5, 5), (3, 14)])
def test_p_is_the_tail_of_a_fair_coin(better: int, worse: int) -> None:
    first = [1.0] * better + [0.0] * worse + [1, 1, 0]
    second = [0.0] * better + [1.0] * worse + [1, 1, 0]
    found = mcnemar(first, second)
    tosses = better + worse
    tail = sum(comb(tosses, k) for k in range(min(better, worse) + 1)) / 2**tosses
    assert found.p == pytest.approx(min(1.0, 2 * tail) if tosses else 1.0)
    assert (found.both, found.first, found.second, found.neither) == (2, better, worse, 1)


def test_of_distances_the_smaller_is_better() -> None:
    found = mcnemar([0.0, 2.0, 1.0], [0.5, 1.0, 1.0], less=True)
    assert (found.both, found.first, found.second, found.neither) == (0, 1, 1, 1)


def test_recorded_answers_are_compared_without_their_texts(tmp_path: Path) -> None:
    task = {"task_definition": {"name": "words", "template": "{text} {mask}", "labels": {"0": "bad", "1": "good"}}}
    one = cell(tmp_path / "one", right=(1, 1, 0, 0), identity=task)
    other = cell(tmp_path / "other", "capt", right=(1, 0, 0, 1), identity=task)
    section = against_section(read_run_files(one), read_run_files(other), None)
    assert "1 rows are answered better by one, 1 by other" in section.lines[0]
    square, differing, note = section.parts
    assert square.table.rows == (("right", "1 0.25", "1 0.25"), ("wrong", "1 0.25", "1 0.25"))  # type: ignore[union-attr]
    assert [row[0] for row in differing.rows] == ["2", "4"]  # type: ignore[union-attr]
    assert "texts" in note.text  # type: ignore[union-attr]


def test_other_rows_are_a_line_and_no_comparison(tmp_path: Path) -> None:
    one, other = cell(tmp_path / "one"), cell(tmp_path / "other", asked="b")
    section = against_section(read_run_files(one), read_run_files(other), None)
    assert "tested on other rows" in section.lines[0]
    assert section.parts == ()


@pytest.mark.parametrize("lacking", ["one", "other", "both"])
def test_rows_that_nothing_tells_are_no_common_rows(lacking: str, tmp_path: Path) -> None:
    untold = {name: {"rows": {}} if lacking in (name, "both") else {} for name in ("one", "other")}
    one = cell(tmp_path / "one", identity=untold["one"])
    other = cell(tmp_path / "other", right=(1, 1, 1), identity=untold["other"])
    section = against_section(read_run_files(one), read_run_files(other), None)
    assert "does not tell which rows" in section.lines[0]
    assert section.parts == ()


def test_a_run_that_diverged_is_no_silent_opponent(tmp_path: Path) -> None:
    task = {"task_definition": {"name": "words", "template": "{text} {mask}", "labels": {"0": "bad", "1": "good"}}}
    one = cell(tmp_path / "one", right=(1, 1, 0, 0), identity=task)
    other = diverged(cell(tmp_path / "other", "capt", right=(1, 0, 0, 1), identity=task))
    section = against_section(read_run_files(one), read_run_files(other), None)
    assert section.lines[-1].startswith("other: this training diverged at step 3")
