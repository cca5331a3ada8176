"""Memory that passes of the model leave behind: free, but kept from the system, or unused and not found yet."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# Seconds between two returns of free memory: batches of ever other sizes leave holes between what is in use, and glibc
# gives back the heap's end alone. On a small model they came to more than the model; a return takes ten milliseconds.
EVERY = 30.0


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
