"""What is written under a key is what is read there, whole or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from softprompt.files.kept import KeptFiles, key_of

TYPES = (torch.float32, torch.bfloat16, torch.int64)


def tensors() -> list[Tensor]:
    """Of several shapes and types, 4 to 480 bytes each, one of them a view."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(1, 1), (3, 7), (5, 12), (2, 30), (15, 1), (0, 4)]
    made = [(torch.randn(shape, generator=generator) * 9).to(kind) for kind in TYPES for shape in shapes]
    return [*made, made[2].t()]


def same(found: list[Tensor] | None, expected: list[Tensor]) -> bool:
    if found is None:
        return False
    pairs = list(zip(found, expected, strict=True))
    return all(one.dtype == other.dtype and torch.equal(one, other) for one, other in pairs)


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    files = KeptFiles(tmp_path / "a" / "b")
    assert files.read("one") is None
    assert files.write("one", tensors())
    assert files.write("two", [])
    assert same(files.read("one"), tensors())
    assert files.read("two") == []
    assert files.read("three") is None
    assert same(KeptFiles(tmp_path / "a" / "b").read("one"), tensors())  # of another process
    files.forget()
    assert os.listdir(tmp_path / "a") == []
    files.forget()


def test_what_was_read_stays_when_its_file_goes(tmp_path: Path) -> None:
    files = KeptFiles(tmp_path / "kept")
    files.write("one", tensors())
    found = files.read("one")
    files.write("one", [torch.zeros(1)])
    files.forget()
    assert same(found, tensors())


@pytest.mark.parametrize("harm", ["cut", "flipped", "emptied", "another"])
def test_a_damaged_file_is_none(harm: str, tmp_path: Path) -> None:
    files = KeptFiles(tmp_path)
    files.write("one", tensors())
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    if harm == "cut":
        del content[-5:]
    elif harm == "flipped":
        content[-5] ^= 1
    elif harm == "emptied":
        content.clear()
    else:
        content = bytearray(b"something else")
    path.write_bytes(content)
    assert files.read("one") is None
    assert files.write("one", tensors())
    assert same(files.read("one"), tensors())


def test_there_is_as_much_room_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(9999, 9999, 2400))
    files = KeptFiles(tmp_path)
    assert files.left == 1200
    assert files.write("one", [torch.zeros(100)])
    assert files.left == 800
    assert not files.write("two", [torch.zeros(201)])
    assert files.read("two") is None
    assert files.left == 800


def test_a_disk_that_takes_nothing_is_no_room(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    files = KeptFiles(tmp_path / "file" / "kept")
    assert not files.write("one", [torch.zeros(1)])
    assert files.left == 0
    assert files.read("one") is None


PARTS = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)


@given(PARTS, PARTS)
def test_keys_are_equal_where_the_parts_are(one: Any, other: Any) -> None:
    assert (key_of(one) == key_of(other)) == (repr(one) == repr(other) or _alike(one, other))


def _alike(one: Any, other: Any) -> bool:
    """Equal, and of equal types: 1, 1.0 and True are three."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    return type(one) is type(other) and repr(one) == repr(other)


def test_a_key_tells_tensors_apart_by_type_shape_and_numbers() -> None:
    some = torch.arange(6, dtype=torch.float32)
    others = [some.view(2, 3), some.view(3, 2), some.bfloat16(), some.long(), some + 1, some[:5]]
    assert len({key_of(one) for one in (some, *others)}) == 7
    assert key_of(some) == key_of(some.clone().requires_grad_())
    assert key_of(some.view(2, 3).t()) == key_of(some.view(2, 3).t().contiguous())
    with pytest.raises(TypeError, match="set is no part of a key"):
        key_of({1})
