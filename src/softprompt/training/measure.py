"""What a run costs: seconds, memory, versions."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch

from softprompt.cores import control_groups

_CPU = torch.device("cpu")
_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")
# Of a control group (version 2 and 1): where its limit stands, what it took, and how much of that is a cache.
_NAMES = (
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


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


@dataclass(frozen=True)
class FreeMemory:
    """What is left, bytes.

    Attributes:
        at_once: in memory.
        with_disk: and what the system may write to a disk meanwhile.
    """

    at_once: int
    with_disk: int


def free_memory(device: torch.device = _CPU) -> FreeMemory | None:
    """What is left of the memory of a device, within the limits of the process's control group; None of another kind.

    Freed memory that the process keeps counts as taken.
    """
    if device.type == "cuda":
        free = int(torch.cuda.mem_get_info(device)[0])
        return FreeMemory(free, free)
    if device.type != "cpu":
        return None
    import psutil

    own = [_limit(folder, *names) for folder in control_groups("memory") for names in _NAMES]
    least = min((one for one in own if one is not None), default=None)
    free, disk = int(psutil.virtual_memory().available), int(psutil.swap_memory().free)
    free = free if least is None else min(free, least)
    return FreeMemory(free, free + disk)


def _limit(folder: Path, most: str, used: str, cached: str) -> int | None:
    """What a control group may still take; None where it has no limit. Files that are only cached count as free."""
    try:
        limit, now = (int((folder / name).read_text()) for name in (most, used))
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return max(limit - now + int(stat.get(cached, 0)), 0)
    except (OSError, ValueError):  # no such group, or the word "max"
        return None


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    names = ("softprompt", "torch", "transformers", "accelerate", "safetensors")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
