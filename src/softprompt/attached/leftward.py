"""`generate` of rows that are padded on their right, as most tokenizers pad them.

A causal model writes on behind the last column, so that padding there would stand between a text and its answer. Rows
are moved to the right, their padding to the left, and what comes out is given with the user's own columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor
from transformers.utils.generic import ModelOutput

from softprompt.backbones.compat import cache_in
from softprompt.sites.outputs import gather


def is_padded_behind(mask: Tensor, kwargs: Mapping[str, object]) -> bool:
    """Whether some row of a batch has padding behind its text, and all of it is given anew.

    Args:
        mask: `(batch, tokens)`, or of another form, which is left alone.
        kwargs: of `generate`; where they bring a cache, its columns stand where they stand.
    """
    if mask.ndim != 2 or cache_in(kwargs) is not None or torch.compiler.is_compiling():
        return False
    seen = mask.bool()
    return bool((seen.any(-1) & ~seen[:, -1]).any())


def leftward(
    generate: Callable[..., object], ids: Tensor, mask: Tensor, kwargs: Mapping[str, object]
) -> Tensor | ModelOutput:
    """What `generate` gives for rows whose padding is moved to the left, with the user's ids in front.

    Args:
        generate: (ids, keywords) to sequences, or to an output that holds them.
        ids: `(batch, tokens)`.
        mask: `(batch, tokens)`.
        kwargs: of `generate`; what has a value a column moves along.
    """
    order = mask.bool().long().argsort(dim=-1, stable=True)  # [B, T] padding first, the text in its order behind
    options = {name: _moved(value, order) for name, value in kwargs.items()}
    options["attention_mask"] = mask.gather(1, order)
    output = cast("Tensor | ModelOutput", generate(ids.gather(1, order), **options))
    found = output if isinstance(output, Tensor) else output["sequences"]
    given = ids.repeat_interleave(found.shape[0] // ids.shape[0], 0)
    sequences = torch.cat([given, found[:, ids.shape[1] :]], dim=-1)
    if isinstance(output, Tensor):
        return sequences
    output["sequences"] = sequences
    steps = output.get("hidden_states")
    if steps:
        back = order.argsort(dim=-1)
        output["hidden_states"] = tuple(tuple(_put_back(states, back) for states in step) for step in steps)
    return output


def _put_back(states: Tensor, back: Tensor) -> Tensor:
    """States of a step `(rows, columns, H)` in the user's columns; one of new tokens alone is as it should be."""
    width = back.shape[1]
    if states.shape[1] < width:
        return states
    new = torch.arange(width, states.shape[1], device=states.device).expand(back.shape[0], -1)
    return gather(states, torch.cat([back, new], dim=-1).repeat_interleave(states.shape[0] // back.shape[0], 0))


def _moved(value: object, order: Tensor) -> object:
    """A value a column, on the last axis, in the columns' new order."""
    if not isinstance(value, Tensor) or value.shape[-2:] != order.shape:
        return value
    return value.gather(-1, order.expand(value.shape))
