"""What stands in a prompt's place in some calls of an attached model: keys and values for virtual tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace

import torch

from softprompt.sites.layout import Slots
from softprompt.sites.producer import Producer

_OTHERS: ContextVar[tuple[object, Mapping[int, Producer]] | None] = ContextVar("softprompt_standing", default=None)


@contextmanager
def standing_in(model: object, others: Mapping[int, Producer]) -> Iterator[None]:
    """Let the calls of an attached model inside the block, in this thread or task alone, take others for its prompts.

    Args:
        model: the attached model.
        others: by the index of a prompt, keys and values that stand for it.
    """
    token = _OTHERS.set((model, others))
    try:
        yield
    finally:
        _OTHERS.reset(token)


def standing(
    model: object, producers: Sequence[Producer], slots: Sequence[Slots]
) -> tuple[tuple[Producer, ...], tuple[Slots, ...]]:
    """What stands in a call that begins here: the attached prompts and their places, or what stands for them."""
    found = None if torch.compiler.is_compiling() else _OTHERS.get()
    if found is None or found[0] is not model:
        return tuple(producers), tuple(slots)
    others = found[1]
    own = (
        replace(one, count=0, prefix=others[index].prefix) if index in others else one
        for index, one in enumerate(slots)
    )
    return tuple(others.get(index, one) for index, one in enumerate(producers)), tuple(own)
