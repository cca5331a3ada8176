"""Checkpoints that recompute in the call they belong to."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from softprompt.backbones.compat import CHECKPOINT, CHECKPOINTING
from softprompt.sites.asking import current, opened


def checkpoints(module: nn.Module) -> bool:
    """Whether a layer checkpoints, and will recompute in its call."""
    return bool(getattr(module, CHECKPOINTING, False)) and isinstance(module.__dict__.get(CHECKPOINT), InCall)


class InCall:
    """A checkpointing function that opens the call again around what it recomputes, in whatever thread that is."""

    def __init__(self, inner: Callable[..., object]) -> None:
        self.inner = inner

    def __call__(self, function: Callable[..., object], *args: object, **kwargs: object) -> object:
        """Run a layer through the checkpoint, in the call that is open now."""
        call = current()
        if call is None:
            return self.inner(function, *args, **kwargs)

        def in_call(*inputs: object, **keywords: object) -> object:
            before, call.checkpointed = call.checkpointed, True
            try:
                with opened(call):
                    return function(*inputs, **keywords)
            finally:
                call.checkpointed = before

        return self.inner(in_call, *args, **kwargs)
