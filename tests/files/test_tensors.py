"""Tensors on disk: the same tensors give the same bytes, and what is no number or cut off is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from softprompt.errors import SoftPromptError
from softprompt.files.tensors import read_tensors, write_tensors


def test_tensors_go_round_in_one_order(tmp_path: Path) -> None:
    tensors = {"b": torch.randn(2, 3).T, "a": torch.arange(4), "c": torch.randn(2).bfloat16()}
    for name, given in (("one", tensors), ("two", dict(reversed(tensors.items())))):
        write_tensors(tmp_path / name, given)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    found = read_tensors(tmp_path / "one")
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], value) and found[name].dtype == value.dtype for name, value in tensors.items())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_cannot_be_read_is_one_line(bad: float, tmp_path: Path) -> None:
    path = tmp_path / "prompt.safetensors"
    with pytest.raises(SoftPromptError, match="no such file"):
        read_tensors(path)
    write_tensors(path, {"table": torch.tensor([1.0, bad])})
    with pytest.raises(SoftPromptError, match="tensor 'table' holds NaN or infinity"):
        read_tensors(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SoftPromptError, match="damaged or truncated"):
        read_tensors(path)
