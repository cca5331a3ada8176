"""The map of kept layers, task by task: counted again from runs that lie on the disk, in folders and on their own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import softprompt as sp
from softprompt.errors import SoftPromptError
from softprompt.explain.patterns import group_table, groups_of, layer_patterns, map_table
from softprompt.files.manifest import sealed

from ..shared.runs import run


@pytest.fixture(scope="module")
def spt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run of SPT over three layers."""
    return run(tmp_path_factory.mktemp("spt"), "bert", sp.SPT(select="learned:2"), max_steps=2).folder


def copied(spt: Path, folder: Path, task: str, kept: list[int], select: str = "learned:2", **backbone: Any) -> Path:
    """The run as if it were another one."""
    shutil.copytree(spt, folder)
    found = json.loads((folder / "metrics.json").read_text())
    found.pop("sha256")
    found |= {"task": task, "kept_layers": kept, "course": {**found["course"], "kept_layers": kept}}
    found["options"]["method"]["select"] = select
    (folder / "metrics.json").write_text(json.dumps(sealed(found)))
    record = json.loads((folder / "prompt" / "prompt.json").read_text())
    record["backbone"] |= backbone
    (folder / "prompt" / "prompt.json").write_text(json.dumps(record))
    return folder


@pytest.fixture
def runs(spt: Path, tmp_path: Path) -> Path:
    """A folder as `select` leaves it, with controls beside the searches, and a run of another task."""
    for seed, kept in ((1, [0, 2]), (2, [1, 2]), (3, [0, 2]), (4, [0, 2])):
        copied(spt, tmp_path / "sst2" / f"learned2-{seed}", "sst2", kept)
        copied(spt, tmp_path / "sst2" / f"first2-{seed}", "sst2", [0, 1], "first:2")
    (tmp_path / "sst2" / "select.json").write_text("{}")
    copied(spt, tmp_path / "trec", "trec", [1, 2])
    return tmp_path


def test_shares_are_counted_over_the_searches_of_a_task(runs: Path) -> None:
    found = layer_patterns([runs / "sst2", runs / "trec"])
    assert [(one.task, one.runs, one.kept) for one in found.tasks] == [("sst2", 4, 2), ("trec", 1, 2)]
    assert [one.share for one in found.tasks] == [(0.75, 0.25, 1.0), (0.0, 1.0, 1.0)]
    assert (found.layers, found.controls) == (3, 4)
    assert [one.chance for one in found.tasks] == pytest.approx([2 / 3, 2 / 3])
    assert found.labels() == ["sst2", "trec"]
    assert map_table(found)[1] == [["", "", "", "emm"], ["sst2", "4", "2", "▆▃█"], ["trec", "1", "2", "·██"]]
    assert group_table(found) == (
        ["task", "embedding 0", "middle 1-2", "by chance"],
        [["sst2", "0.75", "0.62", "0.67"], ["trec", "0.00", "1.00", "0.67"], ["all tasks", "0.38", "0.81", "0.67"]],
    )
    assert json.loads(json.dumps(found.as_dict()))["tasks"][0]["share"] == [0.75, 0.25, 1.0]
    assert "Layers kept, of 3" in repr(found)


def test_one_finished_run_is_a_map_of_its_own(spt: Path) -> None:
    metrics = json.loads((spt / "metrics.json").read_text())
    (only,) = layer_patterns([spt, str(spt)]).tasks
    assert only.share == tuple(float(layer in metrics["course"]["kept_layers"]) for layer in range(3))
    assert (only.runs, only.kept) == (1, 2)
    assert only.gates == tuple(metrics["course"]["gates"])


@pytest.mark.parametrize(
    ("layers", "ends"),
    [
        (24, [(0, 1), (1, 5), (5, 10), (10, 20), (20, 24)]),  # RoBERTa-large: 0; 1-4; 10-19; the last four
        (18, [(0, 1), (1, 4), (4, 8), (8, 15), (15, 18)]),
        (12, [(0, 1), (1, 3), (3, 5), (5, 10), (10, 12)]),
        (6, [(0, 1), (1, 1), (1, 3), (3, 5), (5, 6)]),
        (1, [(0, 1), (1, 1), (1, 1), (1, 1), (1, 1)]),
    ],
)
def test_the_groups_part_every_depth(layers: int, ends: list[tuple[int, int]]) -> None:
    assert list(groups_of(layers).values()) == ends
    assert list(groups_of(layers)) == ["embedding", "bottom", "between", "middle", "last"]


@pytest.mark.parametrize("layers", range(1, 100))
def test_every_layer_stands_in_one_group(layers: int) -> None:
    assert [layer for ends in groups_of(layers).values() for layer in range(*ends)] == list(range(layers))


def test_methods_and_backbones_that_differ_have_rows_of_their_own(spt: Path, tmp_path: Path) -> None:
    for name, backbone in (("a", "one"), ("b", "other")):
        folder = copied(spt, tmp_path / name, "sst2", [0, 1])
        found = {**json.loads((folder / "metrics.json").read_text()), "backbone": backbone}
        found.pop("sha256")
        (folder / "metrics.json").write_text(json.dumps(sealed(found)))
    found_patterns = layer_patterns([tmp_path])
    assert found_patterns.labels() == ["sst2, one", "sst2, other"]


def test_what_cannot_be_compared_is_refused_in_a_line(runs: Path, spt: Path) -> None:
    copied(spt, runs / "deep", "sst2", [0, 1], num_layers=5)
    with pytest.raises(SoftPromptError, match=r"deep has a backbone of 5 layers and .*trec one of 3: name runs of one"):
        layer_patterns([runs / "trec", runs / "deep"])
    shutil.rmtree(runs / "deep")
    with pytest.raises(SoftPromptError, match=r"first2-1: no run whose layers were searched for: train with --select"):
        layer_patterns([runs / "sst2" / "first2-1"])
    (runs / "empty").mkdir()
    with pytest.raises(SoftPromptError, match="empty: no finished run in it"):
        layer_patterns([runs / "empty"])
    with pytest.raises(SoftPromptError, match="nowhere: no such folder"):
        layer_patterns([runs / "nowhere"])
    (runs / "trec" / "metrics.json").unlink()
    with pytest.raises(SoftPromptError, match="this run is not finished: softprompt train --resume"):
        layer_patterns([runs / "trec"])


def test_a_run_of_several_tasks_is_told_as_one(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text("{}")
    (tmp_path / "tasks").mkdir()
    with pytest.raises(SoftPromptError, match="a run of several tasks: name one of the runs in"):
        layer_patterns([tmp_path])


def test_of_a_folder_that_holds_a_run_of_several_tasks_each_task_counts(spt: Path, tmp_path: Path) -> None:
    copied(spt, tmp_path / "both" / "tasks" / "rte", "rte", [0, 1])
    (tmp_path / "both" / "metrics.json").write_text("{}")
    copied(spt, tmp_path / "trec", "trec", [1, 2])
    assert {one.task for one in layer_patterns([tmp_path]).tasks} == {"rte", "trec"}
