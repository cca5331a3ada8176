"""The cores that this process may use: those that it may run on, and the time of them that its control groups get.

A container that is given two cores of a machine with 64 sees all 64, and torch starts a thread for each. They share the
time of two, and threads that wait for one another spin it away: with the time of one core, a training step on MiniLM
took twice as long with two threads as with one (`benchmarks/quota.py`). So a limit on time counts as a limit on cores,
rounded down, unless the user chose a number of threads.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

THREADS = "OMP_NUM_THREADS"  # what torch's threads go by, where it is set
_GROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def usable_cores() -> int:
    """How many cores this process may use, at least 1."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(own, _allowed(own))


def fewer_threads(threads: int) -> int | None:
    """How many threads to take in the place of `threads`; None where they have the time of a core each, or were chosen.

    Args:
        threads: that are meant to run.
    """
    if os.environ.get(THREADS):
        return None
    allowed = _allowed(threads)
    return allowed if allowed < threads else None


def heed_limit() -> None:
    """Let torch, which is not imported yet, start no more threads than there is time for."""
    fewer = fewer_threads(os.cpu_count() or 1)
    if fewer is not None:
        os.environ[THREADS] = str(fewer)


def _allowed(most: int) -> int:
    """The cores whose time the process's control groups leave, from 1 to `most`."""
    least = float(most)
    for folder in control_groups("cpu"):
        with suppress(OSError, ValueError, ZeroDivisionError):  # no such file, or the word "max"
            quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
            least = min(least, int(quota) / int(period))
        with suppress(OSError, ValueError, ZeroDivisionError):
            quota, period = (
                (folder / f"cpu.cfs_{name}_us").read_text(encoding="ascii") for name in ("quota", "period")
            )
            least = least if int(quota) < 0 else min(least, int(quota) / int(period))
    return max(1, int(least))


def control_groups(kind: str) -> list[Path]:
    """The control groups that limit the process, its own and those above it (a service's, a job's); a container's root.

    Args:
        kind: `cpu` or `memory`. In version 1 each has a tree of its own.
    """
    found = [_GROUPS, _GROUPS / kind]
    with suppress(OSError, ValueError):
        for line in _OWN.read_text(encoding="utf-8").splitlines():
            _, kinds, path = line.split(":", 2)
            if not kinds or kind in kinds.split(","):  # version 2 names no kinds
                own = (_GROUPS / kind if kinds else _GROUPS) / path.strip("/")
                found += [own, *(one for one in own.parents if _GROUPS in one.parents)]
    return [*dict.fromkeys(found)]
