"""A training that pauses is the undisturbed one when it goes on, and its curve can be read meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

import softprompt as sp
from softprompt.backbones.backbone import Backbone
from softprompt.compare.cells import Cell, LoadedTasks, train_cell
from softprompt.compare.executor import Paused
from softprompt.compare.pausing import best_until, curve
from softprompt.progress import Progress

from ..shared.tables_of_runs import Bench, outcome


@pytest.fixture(scope="module")
def backbone(own: Bench) -> Backbone:
    return sp.load_backbone(str(own.folder / "llama"))


def until(cell: Cell, pause: int | None) -> Cell:
    return cell.model_copy(update={"pause": pause})


def test_it_goes_on_to_the_bytes_of_one_that_never_paused(own: Bench, tmp_path: Path, backbone: Backbone) -> None:
    tasks, show = LoadedTasks(), Progress(False)
    plain, cell = own.planned(tmp_path / "plain").cells[0], own.planned(tmp_path / "paused").cells[0]
    folder, task = Path(cell.folder), tasks.of(cell)
    assert curve(folder) == []
    with pytest.raises(Paused):
        train_cell(until(cell, 2), backbone, task, show)
    paused = curve(folder)
    assert [one["step"] for one in paused] == [0, 4, 8]
    written = sorted(path.stat().st_mtime_ns for path in folder.rglob("*"))
    with pytest.raises(Paused):
        train_cell(until(cell, 2), backbone, task, show)
    assert sorted(path.stat().st_mtime_ns for path in folder.rglob("*")) == written, "it had come as far before"
    with pytest.raises(Paused):
        train_cell(until(cell, 3), backbone, task, show)
    done = train_cell(until(cell, None), backbone, task, show)
    assert outcome(folder) == outcome(train_cell(plain, backbone, task, show).folder)
    assert curve(folder)[:3] == paused
    assert len(curve(folder)) == 7
    assert train_cell(until(cell, 2), backbone, task, show).record == done.record, "what is finished is read"


def test_a_training_of_several_stages_does_not_pause(own: Bench, tmp_path: Path, backbone: Backbone) -> None:
    quick = {"max_steps": 4, "evaluations": 4, "batch_size": 4, "select": "learned:1"}
    cell = own.planned(tmp_path, methods=[{"name": "deep_prompt", "set": quick}], seeds=[1]).cells[0]
    train_cell(until(cell, 1), backbone, LoadedTasks().of(cell), Progress(False))
    assert (Path(cell.folder) / "metrics.json").is_file()
    assert curve(Path(cell.folder)) == []


def test_the_best_so_far_is_of_what_is_finite() -> None:
    told = [{"accuracy": value} for value in (0.25, None, 0.75, float("nan"), 0.5, 0.875)]
    assert [best_until(told, count, "accuracy") for count in (0, 1, 2, 4)] == [0.25, 0.25, 0.75, 0.75]
    assert best_until([], 3, "accuracy") is None
