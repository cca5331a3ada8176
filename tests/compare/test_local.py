"""Worker processes: killed at any moment, the table comes out as if nothing had happened."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import softprompt as sp
from softprompt.compare.cells import LoadedTasks, train_cell
from softprompt.compare.doing import _Reporting
from softprompt.compare.executor import Event
from softprompt.compare.local import LocalExecutor
from softprompt.compare.queue import work_off
from softprompt.progress import Progress

from ..shared.commands import ask
from ..shared.tables_of_runs import Bench, outcome

LONGEST = 120.0  # seconds until a moment comes


def undisturbed(own: Bench, out: Path) -> dict[str, Any]:
    """What each cell comes to that is trained in this process, by itself."""
    backbone, tasks, found = sp.load_backbone(str(own.folder / "llama")), LoadedTasks(), {}
    for cell in own.planned(out).cells:
        run = train_cell(cell, backbone, tasks.of(cell), Progress(False))
        found[cell.name] = outcome(run.folder)
    return found


def until(moment: Callable[[], Any]) -> Any:
    """Wait for something to be so."""
    begun = time.monotonic()
    while not (found := moment()):
        assert time.monotonic() - begun < LONGEST, "the moment never came"
        time.sleep(0.005)
    return found


def in_the_middle(out: Path, after: int) -> bool:
    """Whether a cell is in hand that has written its state, and so many are finished."""
    cells = [path for path in (out / "cells").glob("*") if path.is_dir()]
    written = [
        path for path in cells if list(path.glob("state/checkpoint-*")) and not (path / "metrics.json").is_file()
    ]
    return len(written) > 0 and sum((path / "metrics.json").is_file() for path in cells) >= after


def children(parent: int) -> list[int]:
    """The worker processes of a process."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            above = int(path.read_text().rsplit(")", 1)[1].split()[1])
            command = (path.parent / "cmdline").read_text()
        except (OSError, IndexError):  # it has left
            continue
        if above == parent and "softprompt.compare.worker" in command:
            found.append(int(path.parent.name))
    return found


@pytest.fixture
def meanwhile() -> Iterator[Callable[[Callable[[], Any], Callable[[], Any]], None]]:
    """Do something at a moment, while the test goes on."""
    threads = []

    def begin(moment: Callable[[], Any], do: Callable[[], Any]) -> None:
        threads.append(threading.Thread(target=lambda: (until(moment), do())))
        threads[-1].start()

    yield begin
    for thread in threads:
        thread.join()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="workers are found in /proc")
def test_a_table_that_is_killed_three_times_is_the_undisturbed_one(own: Bench, tmp_path: Path, meanwhile: Any) -> None:
    """Its parent by SIGKILL, then SIGINT, then a worker by SIGKILL: each time in the middle of a cell."""
    expected = undisturbed(own, tmp_path / "plain")
    out, plan = tmp_path / "out", own.write(tmp_path / "plan.yaml")
    words = ["compare", plan, "--out", out, "--workers", 1]
    parent = subprocess.Popen([sys.executable, "-m", "softprompt", *map(str, words)], stderr=subprocess.DEVNULL)
    until(lambda: in_the_middle(out, 0))
    worker = children(parent.pid)
    parent.kill()
    parent.wait()
    assert len(worker) == 1
    meanwhile(lambda: in_the_middle(out, 1), lambda: os.kill(os.getpid(), signal.SIGINT))
    told = ask(*words, seconds=600)
    assert told.code == 130, told
    assert "stopping: what runs writes its state" in told.err
    assert "of 4 cells are finished" in told.err
    assert "run the same again to go on" in told.err
    before = {path: path.stat().st_mtime_ns for path in out.glob("cells/*/metrics.json")}
    meanwhile(lambda: in_the_middle(out, len(before) + 1), lambda: os.kill(children(os.getpid())[0], signal.SIGKILL))
    told = ask(*words, seconds=600)
    assert (told.code, told.raised) == (0, None), told
    assert "its worker ended (killed" in told.err
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert {path.name: outcome(path) for path in (out / "cells").iterdir()} == expected
    assert not Path(f"/proc/{worker[0]}").exists()


@pytest.mark.slow
def test_a_tracker_looks_on_in_the_workers_and_changes_nothing(own: Bench, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    expected = undisturbed(own, tmp_path / "plain")
    methods = [{**one, "set": {**one["set"], "report_to": "tensorboard"}} for one in own.document["methods"]]
    cells = own.planned(tmp_path / "out", methods=methods).cells
    with LocalExecutor(2, 1) as executor:
        work_off(cells, executor, lambda event: None)
    assert {path.name: outcome(path) for path in (tmp_path / "out" / "cells").iterdir()} == expected
    for cell in cells:
        assert [*Path(cell.folder).glob("tensorboard/events.out.tfevents.*")], "each run has its own curves"


def test_a_workers_progress_is_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning is told; a step is, too, but not more often than somebody could read."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    heard: list[Event] = []
    show = _Reporting(heard.append, "c")
    show.say("  warning: few rows")
    show.say("a head, since there are no words")
    with show.work("training", 0, "steps") as tick:
        tick(1, total=9)
        now[0] += 1
        tick(2, note="0.7")
        tick()
    assert [(one.kind, one.line, one.done, one.total, one.note) for one in heard] == [
        ("told", "warning: few rows", 0, 0, ""),
        ("step", "", 0, 0, ""),
        ("step", "", 3, 9, "0.7"),
    ]


def test_a_worker_that_dies_twice_fails_its_cell_alone(
    own: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both workers of the cell die at once: this one's Python ends before it reads anything."""
    (tmp_path / "sitecustomize.py").write_text("")
    cells = own.planned(tmp_path / "out").cells[:1]
    monkeypatch.setattr("softprompt.compare.child._PACKAGE", tmp_path)
    (tmp_path / "softprompt").mkdir()
    (tmp_path / "softprompt" / "__init__.py").write_text("raise SystemExit('no torch here')")
    heard: list[Event] = []
    with LocalExecutor(1, 1) as executor:
        ends = work_off(cells, executor, heard.append)
    assert [event.kind for event in heard if event.kind != "idle"] == ["lost", "failed"]
    assert ends[cells[0].name].line == "its worker ended twice (exit code 1: no torch here): try it by itself"


def test_a_backbone_that_cannot_be_read_fails_its_own_cells(own: Bench, tmp_path: Path) -> None:
    """It was there when the plan was looked at; the worker goes on with another."""
    shutil.copytree(own.folder / "llama", tmp_path / "gone")
    backbones = [str(tmp_path / "gone"), *own.document["backbones"]]
    cells = own.planned(tmp_path / "out", backbones=backbones, seeds=[1], methods=own.document["methods"][:1]).cells
    (tmp_path / "gone" / "model.safetensors").write_bytes(b"no weights")
    with LocalExecutor(1, 1) as executor:
        ends = work_off(cells, executor, lambda event: None)
    bad, good = (ends[cell.name] for cell in cells)
    assert (bad.kind, good.kind) == ("failed", "done")
    assert bad.line.startswith(f"backbone {tmp_path / 'gone'} ")
    assert good.found["metric"] == "accuracy"


def test_cells_of_one_backbone_go_to_the_worker_that_has_it(own: Bench, tmp_path: Path) -> None:
    cells = own.planned(tmp_path / "out").cells
    other = [cell.model_copy(update={"backbone": "elsewhere", "name": f"o{place}"}) for place, cell in enumerate(cells)]
    executor = LocalExecutor(2, 1)
    for cell in (*cells, *other):
        executor.submit(cell)

    class Having:
        def __init__(self, backbone: Any) -> None:
            self.backbone = backbone

    first, second = Having(None), Having(None)
    executor._processes = [first, second]  # type: ignore[list-item]
    assert executor._chosen(first) == cells[0]  # type: ignore[arg-type]
    first.backbone = cells[0].loading
    assert executor._chosen(first) == cells[0]  # type: ignore[arg-type]
    assert executor._chosen(second) == other[0]  # type: ignore[arg-type]
    second.backbone = ("gone", "auto", None)
    first.backbone, executor._waiting = other[0].loading, list(cells)
    assert executor._chosen(second) == cells[0]  # type: ignore[arg-type]
