"""What a process has set for its own tensors has no part in ours.

Notebooks begin with `torch.set_default_device("cuda")`, `torch.set_default_dtype(torch.bfloat16)` or
`torch.set_grad_enabled(False)`, and cells stand in `torch.inference_mode()`. A prompt is drawn in fp32 on the CPU, so
that a seed gives the same prompt everywhere, and it trains.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


class _InFloat32:
    """New tensors are fp32, whichever threads ask for it: the default is the whole process's."""

    def __init__(self) -> None:
        self._lock, self._inside, self._before = threading.Lock(), 0, torch.float32

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._before = torch.get_default_dtype()
                torch.set_default_dtype(torch.float32)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                torch.set_default_dtype(self._before)


_IN_FLOAT32 = _InFloat32()


@contextmanager
def usual_settings() -> Iterator[None]:
    """Inside the block new tensors are fp32, on the CPU, and take gradients; afterwards all is set as it was."""
    with ExitStack() as stack:
        stack.enter_context(_IN_FLOAT32)
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield
