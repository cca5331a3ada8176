"""Training on a CPU keeps the memory that it frees.

A training step frees what its forward pass kept, and by default glibc gives that to the system, only to fetch it back
page by page in the next step. Both settings are process-wide, cost nothing but the return of freed memory before the
process ends, and change no number (our choice; `benchmarks/step.py` measures what it saves).
"""

from __future__ import annotations

import ctypes
import platform
from functools import cache

import torch

# From malloc.h: when to give memory back, from which size on a block gets pages of its own, how much more to fetch.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_CPU = torch.device("cpu")


@cache
def keep_freed() -> bool:
    """Tell glibc's malloc to keep freed blocks for the next step; True where there is a glibc to tell."""
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    told = [mallopt(_TRIM_THRESHOLD, -1), mallopt(_MMAP_THRESHOLD, 1 << 30), mallopt(_TOP_PAD, 1 << 26)]
    return all(told)


def give_back(device: torch.device = _CPU) -> None:
    """Give freed memory to the system: what `keep_freed` held, holes in glibc's heap, or what torch holds of a GPU."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
