"""From folders to a table, old ones too."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import pytest

from softprompt.compare.suites import SUITES
from softprompt.compare.tabulate import tabulate
from softprompt.errors import SoftPromptError

from ..fixtures.kinds import ARCHIVE
from ..shared.run_folders import cell, few


def test_a_sheet_a_backbone_and_a_result_a_method_and_task(tmp_path: Path) -> None:
    few(tmp_path / "words")
    cell(tmp_path / "other", "capt", 13, backbone="big", identity={"fingerprint": {"weights": "ff", "head": ""}})
    found = tabulate([tmp_path])
    assert [sheet.backbone for sheet in found.sheets] == ["big", "tiny"]
    assert set(found.sheets[1].results) == {("capt", "words"), ("lora", "words")}
    assert found.sheets[1].methods == ("capt", "lora")
    assert found.sheets[1].standing("words") == (("capt",), ("lora",))
    assert found.sheets[0].standing("words") == (("capt",), ())
    assert found.runs == 5
    assert found.notes == ("no tests: no method is named as the baseline", "tiny: no ranks: they need two tasks")


def test_methods_with_every_task_are_ranked_and_others_named(tmp_path: Path) -> None:
    for task in ("one", "two", "three"):
        for rank, method in enumerate(("capt", "lora", "lpt")):
            cell(tmp_path / task / method, method, right=[1] * (8 - rank) + [0] * (4 + rank), task=task)
    cell(tmp_path / "alone", "spt", right=[1] * 8 + [0] * 4, task="one")
    found = tabulate([tmp_path])
    ranks = found.sheets[0].ranks
    assert ranks is not None
    assert (ranks.methods, ranks.mean) == (("capt", "lora", "lpt"), (1.0, 2.0, 3.0))
    assert "tiny: without a rank, for a task is missing: spt" in found.notes


def test_superglue_is_averaged_where_all_six_are_there(tmp_path: Path) -> None:
    suite = SUITES[0]
    for place, (task, metric) in enumerate(suite.metrics.items()):
        for method in ("capt", "lora"):
            for seed in (1, 2):
                value = 0.5 + place / 100 + seed / 1000
                scores = {metric: value, "rows": 4, "interval": [0, 1]}
                given = {"metric": metric, "test": scores, "predictions": False}
                if (task, method) != ("wic", "lora"):
                    cell(tmp_path / task / f"{method}{seed}", method, seed, task=task, **given)
    found = tabulate([tmp_path]).sheets[0].suites
    assert set(found) == {suite.name}
    assert set(found[suite.name]) == {"capt"}
    assert found[suite.name]["capt"].mean == pytest.approx(0.525 + 0.0015)
    shutil.rmtree(tmp_path / "cb")
    missing = tabulate([tmp_path])
    assert missing.sheets[0].suites == {}
    assert f"tiny: no average of {suite.name}: without cb" in missing.notes


def test_a_run_that_was_made_twice_stands_there_once(tmp_path: Path) -> None:
    cell(tmp_path / "a", "capt", 1)
    cell(tmp_path / "b", "capt", 1, [1, 0, 0, 0])
    found = tabulate([tmp_path])
    assert [one.reason for one in found.left_out] == [f"the same method, options and seed as {tmp_path / 'a'}"]
    assert found.runs == 1


def test_other_settings_are_what_a_search_cost(tmp_path: Path) -> None:
    for rate, seconds in ((0.1, 10.0), (0.3, 20.0), (1.0, 40.0)):
        identity = {"training_options": {"learning_rate": rate}}
        cell(tmp_path / str(rate), "capt", 1, identity=identity, train_seconds=seconds)
    cell(tmp_path / "lora", "lora", 1)
    results = tabulate([tmp_path]).sheets[0].results
    assert results["capt (learning_rate=0.3)", "words"].costs.search_seconds == 50.0
    assert results["lora", "words"].costs.search_seconds is None


def test_what_a_reader_should_know_is_noted(tmp_path: Path) -> None:
    rows = {"count": 4, "block": 1, "texts": ["a"] * 4, "labels": ["l"] * 4, "unordered": "a"}
    cell(tmp_path / "a", "capt", 1, versions={"softprompt": "0.1.0"}, predictions=False)
    other = {"rows": {"train": {"count": 32, "unordered": "x"}, "test": rows}}
    cell(tmp_path / "b", "lora", 1, versions={"softprompt": "0.2.0"}, identity=other)
    cell(tmp_path / "c", "capt", 2, asked="b", versions={"softprompt": "0.2.0"})
    notes = tabulate([tmp_path]).notes
    assert notes[0].startswith("1 of 3 runs tell no answers to single rows")
    assert "words on tiny: each seed has test rows of its own" in notes
    assert "words on tiny: runs of seed 1 were trained on different rows" in notes
    assert "runs of several versions: 0.1.0 (1), 0.2.0 (2)" in notes


def test_a_baseline_is_one_of_the_methods(tmp_path: Path) -> None:
    few(tmp_path)
    with pytest.raises(SoftPromptError, match="baseline 'lpt' is no method of these runs: choose from capt, lora"):
        tabulate([tmp_path], baseline="lpt")


def test_where_nothing_is_left_the_first_reason_is_told(tmp_path: Path) -> None:
    few(tmp_path)
    with pytest.raises(SoftPromptError, match=r"capt-13: no bleu among its metrics \(accuracy, macro_f1\), and 3 more"):
        tabulate([tmp_path], metric="bleu")


def test_runs_of_an_earlier_version_are_read(tmp_path: Path) -> None:
    with tarfile.open(ARCHIVE) as packed:
        packed.extractall(tmp_path, filter="data")
    found = tabulate([tmp_path])
    failed = sum(len(runs) for sheet in found.sheets for runs in sheet.failures.values())
    assert found.runs + failed + len(found.left_out) == len(set(tmp_path.rglob("run.json")))
    assert found.runs > 40
    assert any("tell no answers" in note for note in found.notes)


def test_a_task_of_two_sizes_is_in_no_average(tmp_path: Path) -> None:
    for task, metric in SUITES[0].metrics.items():
        given = {"metric": metric, "test": {metric: 0.5, "rows": 4, "interval": [0, 1]}, "predictions": False}
        cell(tmp_path / task, "capt", 1, task=task, **given)
    rows = {"count": 4, "block": 1, "texts": ["a"] * 4, "labels": ["l"] * 4, "unordered": "a"}
    big = {"rows": {"train": {"count": 3000}, "test": rows}}
    assert tabulate([tmp_path]).sheets[0].suites
    cell(tmp_path / "rte-big", "capt", 1, task="rte", identity=big)
    found = tabulate([tmp_path])
    assert found.sheets[0].suites == {}
    assert f"tiny: no average of {SUITES[0].name}: rte stands there twice" in found.notes


def test_means_that_print_alike_stand_alike(tmp_path: Path) -> None:
    for method, right in (("capt", 6), ("lora", 6), ("lpt", 5), ("spt", 4)):
        cell(tmp_path / method, method, right=[1] * right + [0] * (12 - right))
    (sheet,) = tabulate([tmp_path]).sheets
    (column,) = sheet.columns
    assert sheet.standing(column.label) == (("capt", "lora"), ("lpt",))
