"""Each number stands beside what it rests on: how many seeds and tasks, and why there is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from softprompt.compare.formats.feet import chance, ranks_foot, scores_foot, task_foot
from softprompt.compare.formats.grids import score, seeds_told
from softprompt.compare.ranks import ranked
from softprompt.compare.rendering import FORMATS
from softprompt.compare.table import Table
from softprompt.compare.tabulate import tabulate

from ...shared.run_folders import cell, diverged, hits

SHORT = "(n/m): over n of m seeds"


def table(folder: Path, lacks: dict[tuple[str, str], int], baseline: str | None = None) -> Table:
    """Three methods, two tasks and five seeds, but for the last seeds that a method lacks on a task."""
    for task in ("one", "two"):
        for rate, method in ((0.3, "capt"), (0.5, "lora"), (0.95, "spt")):
            for seed in range(5 - lacks.get((method, task), 0)):
                cell(folder / f"{task}-{method}-{seed}", method, seed, hits(f"{task}{method}", seed, rate), task=task)
    return tabulate([folder], baseline)


def test_a_mean_over_fewer_seeds_wins_nothing(tmp_path: Path) -> None:
    found = table(tmp_path, {("spt", "one"): 4}, "capt")
    (sheet,) = found.sheets
    assert sheet.results["spt", "one"].mean > sheet.results["lora", "one"].mean
    assert sheet.standing("one") == (("lora",), ("capt",))
    assert sheet.standing("two") == (("spt",), ("lora",))
    assert sheet.ranks is not None
    assert set(sheet.ranks.methods) == {"capt", "lora"}
    assert "tiny: without a rank, for seeds are missing: spt" in found.notes
    lines = list(scores_foot(sheet, "capt"))
    assert lines[0] == "means over 1 to 5 seeds, and their deviations"
    assert lines[1].startswith(SHORT)
    told = list(task_foot(sheet, "one", "capt"))
    assert "compared over the seeds that both have, which are fewer than 5: 1 (spt)" in told
    assert "no p seeds of one seed" in told
    assert not any("fewer" in line or line.startswith(SHORT) for line in task_foot(sheet, "two", "capt"))


@pytest.mark.parametrize("form", [one for one in FORMATS if one != "csv"])
def test_every_form_says_on_how_many_seeds_a_mean_rests(form: str, tmp_path: Path) -> None:
    text = FORMATS[form](table(tmp_path, {("spt", "one"): 4}, "capt"))
    if form == "json":
        one = next(one for one in json.loads(text)["results"] if (one["method"], one["task"]) == ("spt", "one"))
        assert (one["seeds"], one["missing_seeds"], one["compared_seeds"]) == ([0], [1, 2, 3, 4], 1)
        return
    assert "(1/5)" in text
    assert "(n/m)" in text
    assert "means over 1 to 5 seeds" in text
    assert "which are fewer than 5" in " ".join(text.split())


def test_a_star_is_of_all_seeds(tmp_path: Path) -> None:
    found = table(tmp_path, {("spt", "one"): 2}, "capt")
    comparison = found.sheets[0].results["spt", "one"].comparison
    assert comparison is not None
    assert comparison.p_holm is not None
    assert comparison.p_holm < 0.05
    assert score(found.sheets[0], "spt", "one").endswith("(3/5)")
    assert score(found.sheets[0], "spt", "two").endswith("*")


def test_where_seeds_are_all_there_nothing_is_said_of_missing_ones(tmp_path: Path) -> None:
    (sheet,) = table(tmp_path, {}).sheets
    assert list(scores_foot(sheet, None)) == ["means over 5 seeds, and their deviations"]
    assert sheet.ranks is not None
    assert not any("seeds" in line for line in ranks_foot(sheet, sheet.ranks))


def test_one_whole_mean_beside_others_is_not_the_best(tmp_path: Path) -> None:
    found = table(tmp_path, {("spt", "one"): 1, ("lora", "one"): 1})
    (sheet,) = found.sheets
    assert sheet.standing("one") == ((), ())
    assert "none is marked on one: fewer than two methods have all seeds there" in list(scores_foot(sheet, None))
    assert sheet.ranks is None
    assert "tiny: no ranks: they need two methods with every task and seed" in found.notes
    assert "tiny: without a rank, for seeds are missing: lora, spt" in found.notes


def test_ranks_over_tasks_of_other_numbers_of_seeds_say_so(tmp_path: Path) -> None:
    (sheet,) = table(tmp_path, {(method, "two"): 3 for method in ("capt", "lora", "spt")}).sheets
    assert sheet.ranks is not None
    assert next(ranks_foot(sheet, sheet.ranks)) == "tasks count alike, though their means are over 2 to 5 seeds"


def test_why_tests_are_missing_is_noted(tmp_path: Path) -> None:
    found = table(tmp_path / "a", {("capt", "one"): 5}, "capt")
    assert "tiny: no tests on one: capt has no score there" in found.notes
    cell(tmp_path / "b" / "1", "capt", 1, task="one")
    cell(tmp_path / "b" / "2", "lora", 2, task="one")
    assert "tiny: no tests on one of lora: no seed in common with capt" in tabulate([tmp_path / "b"], "capt").notes
    assert "no tests: no method is named as the baseline" in tabulate([tmp_path / "b"]).notes


def test_a_distance_that_no_ranks_can_have_is_told(tmp_path: Path) -> None:
    (sheet,) = table(tmp_path, {}).sheets
    for tasks, few in ((2, True), (40, False)):
        ranks = ranked([[0.1, 0.2, 0.3]] * tasks, ["capt", "lora", "spt"])
        assert ranks is not None
        lines = list(ranks_foot(sheet, ranks))
        assert lines[-1].startswith("no two ranks can be so far apart, but 2 at most: 2 tasks are too few") == few
    two = ranked([[0.1, 0.2]] * 3, ["capt", "lora"])
    assert two is not None
    assert "no Friedman's test: it needs three methods" in list(ranks_foot(sheet, two))


@pytest.mark.parametrize(("p", "text"), [(None, ""), (0.0004, "<0.001"), (0.0496, "0.050"), (1.0, "1.000")])
def test_chances(p: float | None, text: str) -> None:
    assert chance(p) == text


def test_who_failed_on_the_first_seed_lacks_all_that_others_have(tmp_path: Path) -> None:
    diverged(cell(tmp_path / "ia3", "ia3", 0, task="one"))
    (sheet,) = table(tmp_path, {}).sheets
    assert seeds_told(sheet, "ia3", "one") == "0/5"
    assert seeds_told(sheet, "capt", "one") == "5"
