"""What becomes of memory on a CPU that is free again: glibc keeps it for the next step, or the system gets it back.

A training step frees what its forward pass kept, and by default glibc gives that to the system, only to fetch it back
page by page in the next step. Over a model that is split, gathered weights would pile up in what is kept. Settings are
process-wide and change no number (our choice; `benchmarks/step.py` measures what keeping saves).
"""

from __future__ import annotations

import ctypes
import platform
from functools import cache

import torch

# From malloc.h: when to give memory back, how much more to fetch, from which size on a block gets pages of its own.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_AT_FIRST = 1 << 17  # what all three are until something changes them: glibc raises them with blocks that are freed
_CPU = torch.device("cpu")


@cache
def keep_freed() -> bool:
    """Tell glibc's malloc to keep freed blocks for the next step; True where there is a glibc to tell."""
    return _told({_TRIM_THRESHOLD: -1, _MMAP_THRESHOLD: 1 << 30, _TOP_PAD: 1 << 26})


def return_freed() -> None:
    """Have glibc return what is free now, and from now on large blocks as soon as they are."""
    _told(dict.fromkeys((_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD), _AT_FIRST))
    give_back()


def give_back(device: torch.device = _CPU) -> None:
    """Give freed memory to the system: what `keep_freed` held, holes in glibc's heap, or what torch holds of a GPU."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif _has_glibc():
        ctypes.CDLL(None).malloc_trim(0)


def _told(settings: dict[int, int]) -> bool:
    """Whether there was a glibc to tell."""
    if not _has_glibc():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    told = [mallopt(name, value) for name, value in settings.items()]
    return all(told)


def _has_glibc() -> bool:
    return platform.libc_ver()[0] == "glibc"
