"""Copies of run folders at an address: whole, or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from softprompt.compare.store import Keeping, Store
from softprompt.errors import SoftPromptError

CELL = "sst2-lora,rank=4-minilm-13"


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run(folder: Path, step: int) -> Path:
    """A run folder at a step."""
    (folder / "state" / f"checkpoint-{step}").mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    (folder / "state" / f"checkpoint-{step}" / "model.safetensors").write_bytes(os.urandom(3000))
    return folder


def copies(store: Path) -> list[Path]:
    return sorted((store / CELL).iterdir())


@pytest.fixture(params=["a folder", "an object store"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "a folder":
        yield str(tmp_path / "store")
        return
    yield "memory://tables/words"
    fsspec.filesystem("memory").rm("/tables", recursive=True)


def test_what_is_put_comes_back_as_it_was(address: str, tmp_path: Path) -> None:
    Store(address).check()
    assert Store(address).fetch(CELL, tmp_path / "first") is None
    assert not Store(address).holds(CELL)
    own = run(tmp_path / "own", 5)
    Store(address).put(CELL, own, "left")
    assert Store(address).holds(CELL)
    assert Store(address).fetch(CELL, tmp_path / "back") == "left"
    assert files(tmp_path / "back") == files(own)
    (own / "metrics.json").write_text("{}")
    Store(address).put(CELL, own, "done")
    assert Store(address).fetch(CELL, tmp_path / "done") == "done"
    assert files(tmp_path / "done") == files(own)
    assert Store(address).fetch("another", tmp_path / "another") is None
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_one_copy_stays_behind_the_last_and_none_beside_a_finished_one(tmp_path: Path) -> None:
    store, own = Store(str(tmp_path / "store")), run(tmp_path / "own", 1)
    for step in range(2, 6):
        run(own, step)
        store.put(CELL, own, "left")
    assert [path.name[:12] for path in copies(tmp_path / "store")] == ["000003-left-", "000004-left-"]
    store.put(CELL, own, "done")
    assert [path.name[:12] for path in copies(tmp_path / "store")] == ["000005-done-"]


@pytest.mark.parametrize("harm", ["cut off", "flipped", "empty"])
def test_a_damaged_copy_is_never_taken(harm: str, tmp_path: Path) -> None:
    """The one before it is, and without one there is none; a finished cell has to be whole as well."""
    store, own = Store(str(tmp_path / "store")), run(tmp_path / "own", 1)
    store.put(CELL, own, "left")
    before = files(own)
    store.put(CELL, run(own, 2), "left")
    (last,) = [path for path in copies(tmp_path / "store") if path.name.startswith("000002")]
    whole = last.read_bytes()
    harmed = {"cut off": whole[:-1], "flipped": whole[:50] + bytes([whole[50] ^ 1]) + whole[51:], "empty": b""}[harm]
    last.rename(last.with_name(last.name.replace("left", "done")))
    last.with_name(last.name.replace("left", "done")).write_bytes(harmed)
    assert store.fetch(CELL, tmp_path / "back") == "left"
    assert files(tmp_path / "back") == before
    for path in copies(tmp_path / "store"):
        path.write_bytes(path.read_bytes()[:-1])
    assert store.fetch(CELL, tmp_path / "none") is None
    assert not (tmp_path / "none").exists()


def test_what_a_kill_left_of_a_copy_is_no_copy(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    store.put(CELL, run(tmp_path / "own", 1), "left")
    for name in ("000009-done.zip", f"000009-done-{'0' * 64}.zip.part", "tmpx", ".000009"):
        (tmp_path / "store" / CELL / name).write_bytes(b"PK")
    assert store.fetch(CELL, tmp_path / "back") == "left"


def test_a_copy_whose_size_is_not_the_one_that_was_sent_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, own = Store(str(tmp_path / "store")), run(tmp_path / "own", 1)
    monkeypatch.setattr("softprompt.compare.store._BETWEEN", 0.0)

    def short(here: str, there: str) -> None:
        Path(there).write_bytes(Path(here).read_bytes()[:100])

    monkeypatch.setattr(store._files, "put_file", short)
    with pytest.raises(SoftPromptError, match=r"store .*: cannot be written \(100 of [\d,]+ bytes came there\): check"):
        store.put(CELL, own, "done")
    assert store.fetch(CELL, tmp_path / "back") is None


def test_a_store_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SoftPromptError, match="store nosuch://x: .*give an address that fsspec can open"):
        Store("nosuch://me:secret@x")
    (tmp_path / "file").write_text("")
    with pytest.raises(SoftPromptError, match="cannot be written .*: check its address, your rights and its space"):
        Store(str(tmp_path / "file")).check()


def test_no_message_shows_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store("memory://me:secret@x/table")

    def fails(*_: object, **__: object) -> None:
        raise OSError("memory://me:secret@x/table is not there")

    monkeypatch.setattr(store._files, "makedirs", fails)
    with pytest.raises(SoftPromptError, match="store memory://x/table: cannot be written") as error:
        store.check()
    assert "secret" not in str(error.value)


def test_copies_are_kept_of_new_states_and_take_a_twentieth_of_the_time(tmp_path: Path) -> None:
    now, put = [0.0], list[float]()

    class Slow(Store):
        def put(self, cell: str, folder: Path, state: str) -> None:  # type: ignore[override]
            put.append(now[0])
            now[0] += 2.0
            if len(put) == 2:
                raise SoftPromptError("the network is away")

    own = tmp_path / "own"
    keeping = Keeping(Slow(str(tmp_path / "store")), CELL, own, lambda: now[0])
    keeping.end("left")
    assert put == [], "there is no run"
    run(own, 1)
    for _ in range(1000):
        keeping.look()
        now[0] += 0.5
    assert put == [0.0], "nothing is new"
    run(own, 2)
    for _ in range(1000):
        keeping.look()
        now[0] += 0.5
    assert len(put) == 3, "what did not come there is sent again"
    assert put[2] - put[1] >= 20 * 2.0
    keeping.end("done")
    assert len(put) == 4
