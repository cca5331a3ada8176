"""The executor of a cluster: what Ray tells becomes events, and a table is the local executor's to the byte.

Ray itself is stood in for by a module of the tests' own; where it is installed, the slow tests ask it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

import softprompt as sp
from softprompt.compare.cells import Cell, LoadedTasks, train_cell
from softprompt.compare.executor import Event
from softprompt.compare.here import HereExecutor
from softprompt.compare.on_ray import RayExecutor, Share, Wanted, share
from softprompt.compare.queue import work_off
from softprompt.compare.ranges import typed_ranges
from softprompt.compare.ray_lines import Node
from softprompt.compare.search import Search, Searching
from softprompt.compare.store import Store
from softprompt.errors import SoftPromptError
from softprompt.progress import Progress

from ..shared.stand_in_ray import stand_in
from ..shared.tables_of_runs import Bench, outcome

HERE = socket.gethostname()
TWO = Wanted(workers=2, threads=1, gpus=None, cells=9)


@pytest.fixture
def without_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that stands in for Ray, here and in the processes of this one."""
    folder = stand_in(tmp_path / "modules")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
    return folder


def undisturbed(own: Bench, out: Path) -> dict[str, Any]:
    """What each cell comes to that is trained in this process, by itself."""
    backbone, tasks, found = sp.load_backbone(str(own.folder / "llama")), LoadedTasks(), {}
    for cell in own.planned(out).cells:
        found[cell.name] = outcome(train_cell(cell, backbone, tasks.of(cell), Progress(False)).folder)
    return found


def ends(
    cells: tuple[Cell, ...], executor: RayExecutor, heard: list[Event], stop_after: int | None = None
) -> dict[str, Event]:
    """Have cells done; a stop is asked for once so many have begun."""

    def stopping() -> bool:
        nonlocal stop_after
        asked = stop_after is not None and sum(event.kind == "begun" for event in heard) >= stop_after
        stop_after = None if asked else stop_after
        return asked

    with executor:
        return work_off(cells, executor, heard.append, stopping)


def kinds(heard: list[Event], name: str) -> list[str]:
    return [event.kind for event in heard if event.job == name and event.kind != "step"]


@pytest.mark.parametrize(
    ("nodes", "wanted", "expected"),
    [
        ([(2, 0)], Wanted(None, 64, None, 60), Share(2, 1, 0.0)),
        ([(1, 0)], Wanted(None, 64, None, 60), Share(1, 1, 0.0)),
        ([(8, 0)], Wanted(None, 8, None, 1), Share(1, 8, 0.0)),
        ([(8, 0)], Wanted(None, 2, None, 60), Share(2, 2, 0.0)),
        ([(8, 0), (16, 0)], Wanted(None, 64, None, 60), Share(4, 6, 0.0)),
        ([(8, 0), (16, 0)], Wanted(8, 64, None, 60), Share(8, 3, 0.0)),
        ([(4, 0), (32, 4)], Wanted(None, 64, None, 60), Share(4, 8, 1.0)),
        ([(4, 0), (32, 4)], Wanted(None, 64, 0.5, 60), Share(8, 4, 0.5)),
        ([(4, 0), (32, 4)], Wanted(None, 64, 0.0, 60), Share(4, 4, 0.0)),
        ([(0, 0)], Wanted(None, 64, None, 60), Share(1, 1, 0.0)),
    ],
)
def test_the_share_of_a_worker(nodes: list[tuple[int, int]], wanted: Wanted, expected: Share) -> None:
    assert share([Node(cpus=cpus, gpus=gpus) for cpus, gpus in nodes], wanted) == expected


def test_a_table_of_a_cluster_is_the_undisturbed_one(
    own: Bench, tmp_path: Path, without_ray: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One worker dies twice, one as often as can be; a cell cannot be begun, and one has no backbone."""
    expected = undisturbed(own, tmp_path / "plain")
    cells, store = own.planned(tmp_path / "out").cells, Store(str(tmp_path / "store"))
    good, again, dead, never = (cell.name for cell in cells)
    bad = cells[0].model_copy(update={"name": "bad", "backbone": str(tmp_path / "none")})
    monkeypatch.setenv("STAND_IN", json.dumps({"deaths": {again: 2, dead: 4}, "never": [never]}))
    heard, said = list[Event](), list[str]()
    found = ends((bad, *cells), RayExecutor(None, TWO, tmp_path / "out", store, said.append), heard)
    assert {name: event.kind for name, event in found.items()} == {
        "bad": "failed",
        good: "done",
        again: "done",
        dead: "failed",
        never: "failed",
    }
    assert kinds(heard, again) == ["begun", "lost", "begun", "lost", "begun", "done"]
    assert found["bad"].line.endswith(f"(on {HERE})")
    assert found[dead].line == "its worker ended 4 times (WorkerCrashedError): try it by itself"
    assert found[never].line == (
        "a node cannot begin it (ModuleNotFoundError: No module named 'softprompt'): install softprompt on every node "
        "as it is here"
    )
    assert {path.name: outcome(path) for path in (tmp_path / "out" / "cells").iterdir()} == {
        name: expected[name] for name in (good, again)
    }
    assert said == ["a cluster on this machine: 2 nodes; 2 workers at a time, each with 1 thread"]
    asked = json.loads((without_ray / "ray" / "init.json").read_text())
    assert (asked["address"], asked["threads"]) == ("local", "1")
    queue = json.loads((without_ray / "ray" / "queue.json").read_text())
    assert queue == {"node": "the driver's node", "soft": False}, "no other node's loss is the news'"


@pytest.mark.parametrize(("how", "why"), [("gone", ""), ("apart", ": the Ray of this node has ended")])
def test_a_cluster_that_is_gone_stops_its_cells_and_says_so(
    how: str, why: str, own: Bench, tmp_path: Path, without_ray: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Be it that the driver ends with it, or that it is told: nothing has failed by that, and nothing needs --retry."""
    cells = own.planned(tmp_path).cells
    monkeypatch.setenv("STAND_IN", json.dumps({how: [cells[1].name]}))
    heard, said = list[Event](), list[str]()
    executor = RayExecutor("ray://head:10001", TWO._replace(workers=None), tmp_path, None, said.append)
    found = ends(cells, executor, heard)
    assert found[cells[0].name].kind == "done"
    assert {found[cell.name].kind for cell in cells[1:] if cell.name in found} == {"stopped"}
    assert said[0] == "ray://head:10001: 2 nodes; 2 workers at a time, each with 1 thread and 1 GPU"
    assert said[1].startswith(f"the cluster is gone (exit code 1{why}")
    assert said[1].endswith("): start the same again once it is back")


def test_what_was_made_without_the_store_goes_there_and_a_stop_drops_what_waits(
    own: Bench, tmp_path: Path, without_ray: Path
) -> None:
    cells, store, heard = own.planned(tmp_path / "out").cells, Store(str(tmp_path / "store")), list[Event]()
    first = Path(cells[0].folder)
    train_cell(cells[0], sp.load_backbone(cells[0].backbone), LoadedTasks().of(cells[0]), Progress(False))
    finished = (first / "metrics.json").read_bytes()
    executor = RayExecutor(None, TWO, tmp_path / "out", store, lambda line: None)
    found = ends(cells, executor, heard, stop_after=1)
    assert found[cells[0].name].kind == "done"
    assert (first / "metrics.json").read_bytes() == finished, "it was not made again"
    assert store.fetch(cells[0].name, tmp_path / "back") == "done"
    assert set(found) <= {cell.name for cell in cells[:2]}, "what waited was never begun"


def test_no_cluster_and_no_ray_are_one_line_each(
    tmp_path: Path, without_ray: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = RayExecutor("ray://nowhere:1", TWO, tmp_path, None, lambda line: None)
    with pytest.raises(SoftPromptError, match=r"ray://nowhere:1 cannot be joined \(nobody answers\): check the addre"):
        executor.__enter__()
    monkeypatch.setattr("softprompt.compare.on_ray.find_spec", lambda name: None)
    with pytest.raises(SoftPromptError, match=r"pip install 'softprompt\[cluster\]', or leave --on out"):
        executor.__enter__()


def searched(own: Bench, folder: Path, executor: Any) -> Any:
    """A search with halving, in which every other trial is cut."""
    folder.mkdir(exist_ok=True)
    quick = {"max_steps": 6, "evaluations": 6, "batch_size": 4, "num_virtual_tokens": 2}
    cell = own.planned(folder, methods=[{"name": "prompt_tuning", "set": quick}], seeds=[1]).cells[0]
    ranges = typed_ranges(["learning_rate=1e-3..1:log"], cell)
    wanted = Search(cell, ranges, folds=1, trials=4, minutes=None, workers=2, folder=folder, halving=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("softprompt.compare.search.is_cut", lambda values: len(values) % 2 == 0)
        found = Searching(wanted, {}, executor, Progress(False)).run()
    return [replace(one, seconds=0.0) for one in found.trials], found.choice


def trials_of(folder: Path) -> dict[str, Any]:
    """What each finished run of a search came to."""
    return {path.parent.name: outcome(path.parent) for path in (folder / "trials").glob("*/metrics.json")}


def here(own: Bench) -> HereExecutor[Cell]:
    backbone, tasks = sp.load_backbone(str(own.folder / "llama")), LoadedTasks()
    return HereExecutor(lambda cell: train_cell(cell, backbone, tasks.of(cell), Progress(False)) and None)


def test_a_search_of_a_cluster_is_the_one_of_this_machine(
    own: Bench, tmp_path: Path, without_ray: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells that pause and go on, some by way of the store, and workers that die meanwhile."""
    expected = searched(own, tmp_path / "here", here(own))
    assert [one.cut for one in expected[0]] == [False, True, False, True]
    names = sorted(path.name for path in (tmp_path / "here" / "trials").iterdir())
    monkeypatch.setenv("STAND_IN", json.dumps({"deaths": {names[0]: 1, names[-1]: 2}}))
    store = Store(str(tmp_path / "store"))
    with RayExecutor(None, TWO, tmp_path / "ray", store, lambda line: None) as executor:
        assert searched(own, tmp_path / "ray", executor) == expected
    assert trials_of(tmp_path / "ray") == trials_of(tmp_path / "here")


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray")
@pytest.mark.parametrize("stored", [False, True])
def test_a_search_by_ray_itself_whose_worker_is_killed(own: Bench, tmp_path: Path, stored: bool) -> None:
    """By SIGKILL in the middle of a trial's cell."""
    expected = searched(own, tmp_path / "here", here(own))
    store, killed = Store(str(tmp_path / "store")) if stored else None, list[int]()

    class Killing(RayExecutor):
        """Kills the worker of the first cell of a trial after the default."""

        def events(self) -> Iterator[Event]:
            for event in super().events():
                yield event
                if event.kind == "step" and event.work == "training" and event.job[:3] != "000" and not killed:
                    names = {one.pid: " ".join(one.cmdline()) for one in psutil.Process().children(recursive=True)}
                    killed.extend(pid for pid, name in names.items() if name.startswith(f"ray::{event.job[:12]}"))
                    os.kill(killed[0], signal.SIGKILL)

    with Killing(None, TWO, tmp_path / "ray", store, lambda line: None) as executor:
        assert searched(own, tmp_path / "ray", executor) == expected
    assert killed
    assert trials_of(tmp_path / "ray") == trials_of(tmp_path / "here")


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray")
def test_ray_itself_is_gone_once_its_head_is_killed(
    own: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its processes wait for the head to come back, here for three seconds and usually for a minute."""
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "3")
    long = {"max_steps": 20_000, "evaluations": 20, "batch_size": 4, "patience": 99, "num_virtual_tokens": 2}
    cells = own.planned(tmp_path, methods=[{"name": "prompt_tuning", "set": long}]).cells
    heads, said = list[int](), list[str]()

    def hear(event: Event) -> None:
        if event.kind == "step" and event.work == "training" and not heads:
            names = {one.pid: " ".join(one.cmdline()) for one in psutil.Process().children(recursive=True)}
            heads.extend(pid for pid, name in names.items() if "gcs_server" in name)
            os.kill(heads[0], signal.SIGKILL)

    with RayExecutor(None, TWO, tmp_path, None, said.append) as executor:
        found = work_off(cells, executor, hear)
    assert {event.kind for event in found.values()} == {"stopped"}
    assert said[-1].startswith("the cluster is gone (exit code 1: Failed to connect to GCS within 3 seconds")
    assert len(said[-1]) < 250
    assert not [one for one in psutil.Process().children(recursive=True) if "raylet" in " ".join(one.cmdline())]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray")
def test_ray_itself_begins_a_cell_again_whose_worker_is_killed(own: Bench, tmp_path: Path) -> None:
    """By SIGKILL in the middle of a cell."""
    expected = undisturbed(own, tmp_path / "plain")
    cells, store, heard = own.planned(tmp_path / "out").cells, Store(str(tmp_path / "store")), list[Event]()
    killed = list[int]()

    def hear(event: Event) -> None:
        heard.append(event)
        if event.kind == "step" and event.work == "training" and not killed:
            names = {one.pid: " ".join(one.cmdline()) for one in psutil.Process().children(recursive=True)}
            killed.extend(pid for pid, name in names.items() if name.startswith(f"ray::{event.job[:20]}"))
            os.kill(killed[0], signal.SIGKILL)

    with RayExecutor(None, TWO, tmp_path / "out", store, lambda line: None) as executor:
        found = work_off(cells, executor, hear)
    assert {event.kind for event in found.values()} == {"done"}
    assert "lost" in {event.kind for event in heard}
    assert {path.name: outcome(path) for path in (tmp_path / "out" / "cells").iterdir()} == expected
