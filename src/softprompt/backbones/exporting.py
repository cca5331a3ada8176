"""Whether a graph for other programs is being traced, in which the number of rows stays open."""

from __future__ import annotations

from collections.abc import Callable

import torch

_ASK: Callable[[], bool] | None = getattr(torch.compiler, "is_exporting", None)  # torch 2.6 may not have it


def is_exporting() -> bool:
    """Whether `torch.export` is at work."""
    return _ASK is not None and _ASK()
