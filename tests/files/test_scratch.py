"""Scraps of dead processes are swept or put back; nothing else is touched."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.files.scratch import scratch, scratch_file, sweep
from softprompt.training.hold import hold_folder


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def scrap(place: Path, **files: str) -> Path:
    """What a dead process left."""
    place.mkdir(parents=True)
    for name, text in files.items():
        (place / name).write_text(text)
    return place


def test_scratch_is_gone_in_the_end_and_stays_while_it_is_used(tmp_path: Path) -> None:
    with scratch(tmp_path) as folder, scratch_file(tmp_path) as (file, handle):
        os.write(handle, b"x")
        assert sweep(tmp_path, deep=True) == []
        assert tree(tmp_path) == sorted([folder.name, file.name])
    assert tree(tmp_path) == []


def test_what_the_dead_left_is_swept_with_its_size(tmp_path: Path) -> None:
    scrap(tmp_path / "a" / ".softprompt-new-0123abcd", one="12345")
    scrap(tmp_path / "a" / ".checkpoint-40-k3j_9xq2", one="12")
    scrap(tmp_path / ".gemma3-270m-a5fd3b62-a-k3j_9xq2", one="1")
    (tmp_path / "a" / ".softprompt-new-89abcdef").write_text("123")
    done = sweep(tmp_path, deep=True)
    assert sorted(one.size for one in done) == [1, 2, 3, 5]
    assert not any(one.put_back for one in done)
    assert tree(tmp_path) == ["a"]


def test_what_lost_its_place_gets_it_back(tmp_path: Path) -> None:
    scrap(tmp_path / ".softprompt-old-0123abcd" / "prompt", one="old")
    scrap(tmp_path / ".softprompt-new-0123abce", one="half")
    scrap(tmp_path / "b" / ".prompt-old-k3j_9xq2" / "prompt", one="old")
    done = sweep(tmp_path, deep=True)
    assert sorted((one.path.name, one.put_back) for one in done) == [
        (".softprompt-new-0123abce", False), ("prompt", True), ("prompt", True),
    ]  # fmt: skip
    assert tree(tmp_path) == ["b", "b/prompt", "b/prompt/one", "prompt", "prompt/one"]


def test_what_was_replaced_is_removed(tmp_path: Path) -> None:
    scrap(tmp_path / ".softprompt-old-0123abcd" / "prompt", one="old")
    scrap(tmp_path / "prompt", one="new")
    assert [one.put_back for one in sweep(tmp_path)] == [False]
    assert (tmp_path / "prompt" / "one").read_text() == "new"


def test_nothing_else_is_touched(tmp_path: Path) -> None:
    names = (".git", ".softprompt", ".softprompt-new-", ".softprompt-new-0123abcd.txt", "softprompt-new-0123abcd",
             ".notes-k3j_9xq2", ".prompt-short", ".promptly-k3j_9xq2", ".bashrc-old-k3j_9xq2")  # fmt: skip
    for name in names:
        scrap(tmp_path / name, one="mine")
    outside = scrap(tmp_path.with_name(f"{tmp_path.name}-outside"), one="mine")
    (tmp_path / ".softprompt-new-0123abcd").symlink_to(outside)
    before = tree(tmp_path)
    assert sweep(tmp_path, deep=True) == []
    assert tree(tmp_path) == before
    assert (outside / "one").read_text() == "mine"


def test_only_the_folder_itself_unless_deep(tmp_path: Path) -> None:
    below = scrap(tmp_path / "a" / ".softprompt-new-0123abcd")
    assert sweep(tmp_path) == []
    assert below.exists()


def test_a_run_has_its_folder_alone(tmp_path: Path) -> None:
    scrap(tmp_path / "run" / "state" / ".softprompt-new-0123abcd")
    with hold_folder(tmp_path / "run"):
        assert tree(tmp_path) == ["run", "run/state"]
        with pytest.raises(SoftPromptError, match="another run is at work") as error, hold_folder(tmp_path / "run"):
            pass
        assert "\n" not in str(error.value)
    with hold_folder(tmp_path / "run"):
        pass
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(SoftPromptError, match="is a file"), hold_folder(place):
            pass


@pytest.fixture
def lockless(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def none(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", none)
    return


@pytest.mark.usefixtures("lockless")
def test_without_locks_nothing_is_taken_for_a_scrap(tmp_path: Path) -> None:
    scrap(tmp_path / ".softprompt-new-0123abcd")
    with hold_folder(tmp_path), scratch(tmp_path) as folder:
        assert len(tree(tmp_path)) == 2
        assert sweep(tmp_path) == []
    assert not folder.exists()
