"""What a run does to the process around it, and undoes: seeds, threads and signals."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from operator import index
from typing import SupportsIndex

import numpy as np
import torch

from softprompt.cores import fewer_threads
from softprompt.errors import SoftPromptError, quoted

_TRAINING = threading.RLock()


@contextmanager
def alone() -> Iterator[None]:
    """Let no other thread train meanwhile: seeds, random state and the number of threads are the whole process's.

    Raises:
        SoftPromptError: one does.
    """
    if not _TRAINING.acquire(blocking=False):
        raise SoftPromptError(
            "another thread of this process is training, and seeds are the whole process's: train one after the other, "
            "or in processes of their own"
        )
    try:
        yield
    finally:
        _TRAINING.release()


def whole_seed(seed: object) -> int:
    """A seed, be it numpy's own whole number.

    Raises:
        SoftPromptError: it is no whole number, or one that numpy does not take.
    """
    found = index(seed) if isinstance(seed, SupportsIndex) else -1
    if not 0 <= found < 1 << 32:
        raise SoftPromptError(f"seed {quoted(seed)}: give a whole number from 0 to {(1 << 32) - 1:,}")
    return found


@contextmanager
def reproducible(seed: int, threads: int | None) -> Iterator[None]:
    """Seed every source of chance; leave the caller's random state and threads as they were.

    Raises:
        SoftPromptError: numpy takes no such seed.
    """
    seed = whole_seed(seed)
    before = random.getstate(), np.random.get_state(), torch.get_rng_state(), torch.get_num_threads()
    on_gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    threads = threads or fewer_threads(before[3])
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])
        if on_gpus:
            torch.cuda.set_rng_state_all(on_gpus)
        if torch.get_num_threads() != before[3]:  # setting them is not free of effects: a forked process may fail at it
            torch.set_num_threads(before[3])


@contextmanager
def stop_signal() -> Iterator[dict[str, bool]]:
    """Note SIGINT and SIGTERM instead of dying, so that the step in hand is finished and its state written."""
    stop = {"asked": False}
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(*_: object) -> None:
        stop["asked"] = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
