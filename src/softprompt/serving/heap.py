"""Memory that passes of the model leave behind: free, but kept from the system, or unused and not found yet."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress

EVERY = 30.0  # seconds; a call takes some ten milliseconds after passes of a small model


def give_back() -> None:
    """Give what is free in the heap to the system.

    Batches of ever other sizes leave holes between what is still in use, and glibc gives back the heap's end alone: on
    a small model they came to more than the model itself. Where another library allocates, nothing is done.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def only_new_rubbish() -> Iterator[None]:
    """Let the collector of circles look at nothing that is there already.

    It looks at all only once there is a quarter more than last time, and with the libraries' own objects that takes
    thousands of requests, whose bodies stay meanwhile.
    """
    gc.collect()
    gc.freeze()
    gc.collect()  # of nothing: a quarter of it is soon there
    try:
        yield
    finally:
        gc.unfreeze()
