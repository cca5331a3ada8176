"""What a run costs: the peak of its memory since it began, and the versions it ran with."""

from __future__ import annotations

from mmap import mmap
from pathlib import Path

import pytest
import torch
import transformers

from softprompt import cores
from softprompt.training import measure
from softprompt.training.measure import free_memory, peak_memory, reset_peak, versions


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


@pytest.mark.parametrize("place", [".", "job/step"])  # a container's root, and a job's group of a whole machine
def test_what_is_free_is_within_the_control_groups_limit(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cores, "_GROUPS", tmp_path)
    monkeypatch.setattr(cores, "_OWN", tmp_path / "own")
    (tmp_path / "own").write_text(f"0::/{place.strip('.')}\n")
    own = tmp_path / place
    own.mkdir(parents=True, exist_ok=True)
    without = free_memory()
    assert without is not None
    assert without.with_disk >= without.at_once > 1 << 20
    for name, text in {"memory.max": "8000000", "memory.current": "5000000"}.items():
        (own / name).write_text(f"{text}\n")
    (own / "memory.stat").write_text("anon 4000000\ninactive_file 1000000\n")
    limited = free_memory()
    assert limited is not None
    assert limited.at_once == 4_000_000  # what is only a cache of files is given back on demand
    (own / "memory.max").write_text("max\n")
    unlimited = free_memory()
    assert unlimited is not None
    assert unlimited.at_once > 8_000_000
    assert free_memory(torch.device("meta")) is None
