"""Modules that rest for a while: no dropout, and afterwards each part's own mode, whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """Let no part of some modules train inside the block.

    Afterwards every part is in the mode it was in before, part by part, also after an exception or an interruption:
    a module that trains may hold parts that rest.

    Args:
        *modules: each with all its parts.
    """
    before = [(part, part.training) for module in modules for part in module.modules()]
    try:
        for module in modules:
            module.eval()
        yield
    finally:
        for part, training in before:
            if part.training != training:
                part.training = training
