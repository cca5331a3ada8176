"""Whether the columns that a body works on are its tokens, one by one, so that a virtual token has a place among them.

CPM-Ant puts vectors of its own in front, XLNet looks its tokens up with rows second. Two short rows that differ in the
middle run as far as the first layer: the ids must be looked up as they were given, padding behind them left aside, and
the states that enter the layer must differ where the rows do.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from softprompt.backbones.probe import trial_rows
from softprompt.backbones.remembered import Remembered, settings_of
from softprompt.backbones.untouched import untouched

_FOUND: Remembered[bool] = Remembered()


def is_aligned(body: PreTrainedModel, embedding: nn.Module, layers: Sequence[nn.Module]) -> bool:
    """Whether it is so; a body that cannot be run on ids alone is taken to be.

    Args:
        body: takes ids.
        embedding: its input embedding.
        layers: its layers, or none.
    """
    state = str(settings_of(body))
    return _FOUND.of(body, state, lambda: _try(body, embedding, layers))


def _try(body: PreTrainedModel, embedding: nn.Module, layers: Sequence[nn.Module]) -> bool:
    rows = trial_rows(body, 1)
    asked: list[Tensor] = []
    entered: list[Tensor] = []
    me = threading.get_ident()

    def looking_up(module: nn.Module, args: tuple[object, ...]) -> None:
        if threading.get_ident() == me and args and isinstance(args[0], Tensor):
            asked.append(args[0])

    def entering(module: nn.Module, args: tuple[object, ...], kwargs: Mapping[str, object]) -> None:
        if threading.get_ident() == me:
            states = args[0] if args else kwargs.get("hidden_states")
            entered.extend([states] if isinstance(states, Tensor) else [])
            raise _Entered

    with ExitStack() as stack:
        stack.enter_context(untouched(body))
        stack.callback(embedding.register_forward_pre_hook(looking_up).remove)
        for first in layers[:1]:
            stack.callback(first.register_forward_pre_hook(entering, with_kwargs=True).remove)
        stack.enter_context(suppress(Exception))  # a model may raise anything: what was asked before counts
        body.forward(input_ids=rows, attention_mask=torch.ones_like(rows))
    return not (asked and not any(_holds(ids, rows) for ids in asked)) and all(_there(one, rows) for one in entered)


def _holds(ids: Tensor, rows: Tensor) -> bool:
    """Whether ids are those of the rows, with nothing in front."""
    if ids.is_meta or ids.ndim != 2 or len(ids) != len(rows) or ids.shape[1] < rows.shape[1]:
        return ids.is_meta or ids.numel() == 0
    return bool((ids[:, : rows.shape[1]] == rows).all())


def _there(states: Tensor, rows: Tensor) -> bool:
    """Whether states `(2, T, H)` differ where the rows do, wherever else."""
    if states.is_meta or states.ndim != 3 or len(states) != 2:
        return True  # of other axes the site `hidden` tells
    moved = (states[0] != states[1]).any(-1)
    changed = (rows[0] != rows[1]).nonzero().flatten()
    return not bool(moved.any()) or bool(moved.shape[0] > changed.max() and moved[changed].any())


class _Entered(Exception):
    """The states that enter the first layer are there."""
