"""A cell on a node: in the table's folder, or in scratch that begins with what the store has and ends there."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import softprompt as sp
from softprompt.compare.cells import LoadedTasks, train_cell
from softprompt.compare.executor import Event
from softprompt.compare.on_node import Order, do
from softprompt.compare.store import Store
from softprompt.progress import Progress
from softprompt.training.measure import versions

from ..shared.tables_of_runs import Bench, outcome

HERE, VERSION = socket.gethostname(), versions()["softprompt"]


class News(list[Event]):
    def put(self, item: str) -> None:
        self.append(Event.model_validate_json(item))


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A node's scratch, and threads and a folder that come back."""
    threads = torch.get_num_threads()
    monkeypatch.chdir(Path.cwd())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    yield tmp_path / "scratch"
    torch.set_num_threads(threads)


def ordered(own: Bench, out: Path, **changes: Any) -> Order:
    given = {"threads": torch.get_num_threads(), "table": str(out), "here": os.getcwd(), **changes}
    return Order.model_validate({"cell": own.planned(out).cells[0], **given})


def done(order: Order, news: News, version: str = VERSION) -> Event:
    return Event.model_validate_json(do(order.model_dump_json(), version, news))


def undisturbed(own: Bench, folder: Path) -> Any:
    cell = own.planned(folder).cells[0]
    run = train_cell(cell, sp.load_backbone(cell.backbone), LoadedTasks().of(cell), Progress(False))
    return outcome(run.folder)


def test_a_cell_on_a_shared_disk_and_one_by_the_store_are_those_of_train(
    own: Bench, tmp_path: Path, scratch: Path
) -> None:
    expected = undisturbed(own, tmp_path / "plain")
    shared, news = tmp_path / "shared", News()
    shared.mkdir()
    order = ordered(own, shared)
    end = done(order, news)
    assert (end.kind, end.found["metric"]) == ("done", "accuracy")
    assert (news[0].kind, news[0].job, news[0].note) == ("begun", order.cell.name, HERE)
    assert "step" in {event.kind for event in news}
    assert outcome(Path(order.cell.folder)) == expected

    store = Store(str(tmp_path / "store"))
    apart = ordered(own, tmp_path / "apart", store=store.address)
    assert done(apart, News()).kind == "done"
    assert not (tmp_path / "apart").exists()
    assert store.fetch(apart.cell.name, tmp_path / "back") == "done"
    assert outcome(tmp_path / "back") == expected
    assert [*(scratch / "softprompt-cells").iterdir()] == []
    assert done(apart, News()).kind == "done", "what is finished is only read"


def test_a_cell_that_another_node_began_goes_on(own: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its state is in the store alone, as a node leaves it that dies without a word."""
    expected = undisturbed(own, tmp_path / "plain")
    store = Store(str(tmp_path / "store"))
    order = ordered(own, tmp_path / "out", store=store.address)
    monkeypatch.setattr("softprompt.compare.doing._OFTEN", 0.0)

    class Dead(BaseException):
        pass

    class Dies(News):
        def put(self, item: str) -> None:
            super().put(item)
            if self[-1].done == 13:  # a checkpoint was written at the 12th step
                raise Dead

    with pytest.raises(Dead):
        done(order, Dies())
    assert store.fetch(order.cell.name, tmp_path / "begun") == "left"
    steps = sorted(int(path.name.split("-")[1]) for path in (tmp_path / "begun").rglob("checkpoint-*"))
    assert steps[-1] in (4, 8, 12)
    news = News()
    assert done(order, news).kind == "done"
    assert min(event.done for event in news if event.work == "training" and event.done) > steps[-1]
    assert store.fetch(order.cell.name, tmp_path / "back") == "done"
    assert outcome(tmp_path / "back") == expected


def test_what_a_node_lacks_is_one_line_that_names_it(own: Bench, tmp_path: Path) -> None:
    lines = [done(ordered(own, tmp_path / "elsewhere"), News()).line]
    lines.append(done(ordered(own, tmp_path), News(), "0.0").line)
    order = ordered(own, tmp_path)
    cell = order.cell.model_copy(update={"backbone": str(tmp_path / "none")})
    lines.append(done(order.model_copy(update={"cell": cell}), News()).line)
    cell = order.cell.model_copy(update={"data": str(tmp_path / "rows.tsv")})
    lines.append(done(order.model_copy(update={"cell": cell}), News()).line)
    (tmp_path / "file").write_text("")
    lines.append(done(ordered(own, tmp_path, store=str(tmp_path / "file")), News()).line)
    assert all(line.endswith(f" (on {HERE})") and "\n" not in line for line in lines)
    assert f"{tmp_path / 'elsewhere'}: is not on this node: give a --store that all nodes reach" in lines[0]
    assert f"softprompt {VERSION} is not 0.0, which makes the table: install the same everywhere" in lines[1]
    assert str(tmp_path / "none") in lines[2]
    assert str(tmp_path / "rows.tsv") in lines[3]
    assert f"store {tmp_path / 'file'}: cannot be read" in lines[4]


def test_a_full_disk_is_one_line(own: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = ordered(own, tmp_path / "out", store=str(tmp_path / "store"))
    monkeypatch.setattr("tempfile.tempdir", "/dev/full")
    end = done(order, News())
    assert (end.kind, "/dev/full" in end.line, "cannot be written" in end.line) == ("failed", True, True)
