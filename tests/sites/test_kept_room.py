"""What is kept in memory or in files is what was given, and the files leave nothing behind."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from softprompt.sites import kept_room
from softprompt.sites.kept_room import Room

TYPES = (torch.float32, torch.bfloat16, torch.int64)


def tensors() -> list[Tensor]:
    """Of several shapes and types, 4 to 480 bytes each."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(1, 1), (3, 7), (5, 12), (2, 30), (15, 1)]
    return [(torch.randn(shape, generator=generator) * 9).to(kind) for kind in TYPES for shape in shapes]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a few hundred bytes, so that several are made."""
    monkeypatch.setattr(kept_room, "_PIECE", 500)


@pytest.mark.parametrize("memory", [0, 300, 1 << 20])
def test_copies_are_equal_and_stay_apart(memory: int, small: None, tmp_path: Path) -> None:
    room, given = Room(tmp_path, memory), tensors()
    kept = [room.keep(one) for one in given]
    for one, other in zip(kept, given, strict=True):
        assert one is not None
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
    before = [one.clone() for one in given]
    for one in given:
        one.zero_()
    for one, other in zip(kept, before, strict=True):
        assert one is not None
        assert torch.equal(one, other)
    room.keep(torch.full((9, 9), 1e9))  # which comes to stand beside them
    assert all(torch.equal(one, other) for one, other in zip(kept, before, strict=True) if one is not None)
    assert os.listdir(tmp_path) == []


def test_there_is_as_much_room_as_it_says(small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(9999, 9999, 2400))
    room = Room(tmp_path, memory=100)
    assert room.left == 100 + 1200
    assert room.keep(torch.zeros(100, dtype=torch.uint8)) is not None
    assert room.left == 1200
    kept = [room.keep(torch.full((4, 25), number, dtype=torch.float32)) for number in range(3)]
    assert [one is not None for one in kept] == [True, True, False]
    assert [float(one[0, 0]) for one in kept[:2]] == [0, 1]  # type: ignore[index]  # it was looked at
    assert Room(memory=0).keep(torch.zeros(1)) is None
    assert Room(tmp_path / "gone", memory=0).keep(torch.zeros(1)) is None


def test_a_disk_that_others_filled_is_no_room(small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    room = Room(tmp_path, memory=0)
    monkeypatch.setattr(os, "posix_fallocate", full)
    assert room.keep(torch.zeros(9)) is None
    assert room.left == 0
    assert os.listdir(tmp_path) == []


def test_blocks_are_written_where_they_cannot_be_asked_for(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fallocate")
    monkeypatch.setattr(kept_room, "_WRITTEN", 64)
    kept = Room(tmp_path, memory=0).keep(torch.arange(60))
    assert kept is not None
    assert torch.equal(kept, torch.arange(60))


def test_a_process_that_is_killed_leaves_no_file(tmp_path: Path) -> None:
    code = (
        "import os, sys, pathlib, torch; from softprompt.sites.kept_room import Room\n"
        "kept = Room(pathlib.Path(sys.argv[1]), memory=0).keep(torch.ones(1000))\n"
        "print(float(kept.sum()), flush=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    made = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert (made.stdout.strip(), made.returncode) == ("1000.0", -9)
    assert os.listdir(tmp_path) == []
