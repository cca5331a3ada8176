"""What a run costs: seconds, memory, versions."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version
from pathlib import Path

import torch

_CPU = torch.device("cpu")
_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


def reset_peak(device: torch.device = _CPU) -> None:
    """Start the count of peak memory anew, where the system allows it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    try:
        _RESET.write_text("5")
    except OSError:
        return


def peak_memory(device: torch.device = _CPU) -> int:
    """Largest resident memory since `reset_peak` (on a GPU: largest allocation there), bytes."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        line = next(x for x in _STATUS.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration):
        import resource

        scale = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    names = ("softprompt", "torch", "transformers", "accelerate", "safetensors")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
