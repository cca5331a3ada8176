"""What a run costs: the peak of its memory since it began, and the versions it ran with."""

from __future__ import annotations

from mmap import mmap

import pytest
import torch
import transformers

from softprompt.training import measure
from softprompt.training.measure import peak_memory, reset_peak, versions


def test_the_peak_holds_what_was_freed_since() -> None:
    reset_peak()
    before = peak_memory()
    with mmap(-1, 64 << 20) as block:  # pages of its own: tensors may get some that were freed and are here still
        block.write(bytes(64 << 20))
    assert peak_memory() - before > 32 << 20


def test_memory_is_told_where_the_system_does_not_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_STATUS", "_RESET"):
        monkeypatch.setattr(measure, name, getattr(measure, name) / "none")
    reset_peak()
    assert peak_memory() > 1 << 20


def test_versions_are_those_that_run() -> None:
    found = versions()
    assert found["torch"] == torch.__version__
    assert found["transformers"] == transformers.__version__
    assert {"python", "softprompt", "accelerate", "safetensors"} < found.keys()
