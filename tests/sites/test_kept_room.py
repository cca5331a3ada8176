"""What is kept in memory or in files is what was given, as long as there is room."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from softprompt.files.kept import KeptFiles
from softprompt.sites.kept_room import Room


def tensors(start: float = 0.0) -> list[Tensor]:
    """140 bytes."""
    return [torch.arange(20.0) + start, torch.arange(15.0).view(3, 5) + start]


def equal(found: list[Tensor] | None, expected: list[Tensor]) -> bool:
    return found is not None and all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("memory", [0, 200, 1 << 20])
@pytest.mark.parametrize("on_disk", [False, True])
def test_copies_stay_as_they_were_given(memory: int, on_disk: bool, tmp_path: Path) -> None:
    room = Room(KeptFiles(tmp_path) if on_disk else None, memory)
    both = [tensors(), tensors(7.0)]
    kept = [room.keep(room.key(place), own) for place, own in enumerate(both)]
    there = [on_disk or (place + 1) * 140 <= memory for place in range(2)]
    assert [one is not None for one in kept] == there
    for own in (one for tensors in both for one in tensors):
        own.zero_()
    for one, start, is_there in zip(kept, (0.0, 7.0), there, strict=True):
        assert equal(one, tensors(start)) == is_there
    assert len(list(tmp_path.iterdir())) == (2 if on_disk else 0)


def test_memory_takes_as_much_as_it_says() -> None:
    room = Room(memory=300)
    assert room.left == 300
    assert room.keep("", tensors()) is not None
    assert room.left == 160
    assert room.keep("", tensors()) is not None
    assert room.keep("", tensors()) is None
    assert room.left == 20


def test_what_another_room_kept_is_found_where_all_that_counts_is_the_same(tmp_path: Path) -> None:
    asked: list[int] = []

    def scope() -> str:
        asked.append(1)
        return "a model"

    first = Room(KeptFiles(tmp_path), scope=scope)
    key = first.key("rows", 1)
    assert first.find(key) is None
    first.keep(key, tensors())
    for memory in (0, 1 << 20):
        again = Room(KeptFiles(tmp_path), memory, scope=scope)
        assert equal(again.find(again.key("rows", 1)), tensors())
        assert again.find(again.key("rows", 2)) is None
        assert again.left == again._files.left + (memory and memory - 140)  # type: ignore[union-attr]  # it has files
    other = Room(KeptFiles(tmp_path), scope=lambda: "another model")
    assert other.find(other.key("rows", 1)) is None
    assert len(asked) == 3  # a look at all weights


def test_memory_alone_looks_for_nothing() -> None:
    def never() -> str:
        raise AssertionError("nobody asks")

    room = Room(scope=never)
    room.keep(room.key("rows"), tensors())
    assert room.find(room.key("rows")) is None
