"""What a body needs position 0 for, which keys and values in front of a text take from it.

RecurrentGemma forgets what came before where a position is 0, so that padding in front of a text that begins at P runs
into it. A first token sees itself alone, and comes out alike wherever it stands but there.

DeepSeek V4 sums blocks of columns up, and lets a token see those that are whole by its position: of a text that begins
at P it sees blocks that are not, and in them what follows it. Rows that differ behind a token then differ at it.
"""

from __future__ import annotations

import inspect
from contextlib import suppress

import torch
from torch import Tensor
from transformers import PreTrainedModel

from softprompt.backbones.probe import BEFORE, trial_rows
from softprompt.backbones.remembered import Remembered, settings_of
from softprompt.backbones.untouched import untouched

_LATER = (5, 11)  # the other positions that a row begins at, which are to be alike
_FOUND: Remembered[str] = Remembered()


def needs_beginning(body: PreTrainedModel) -> str:
    """Why a causal body without absolute positions needs texts to begin at position 0, in a clause; empty where not.

    Args:
        body: takes ids; one that takes no `position_ids`, or cannot be run on these alone, is taken not to.
    """
    state = str(settings_of(body))
    return _FOUND.of(body, state, lambda: _try(body))


def _try(body: PreTrainedModel) -> str:
    rows, names = trial_rows(body, 1), inspect.signature(body.forward).parameters
    if "position_ids" not in names:
        return ""
    order, why = torch.arange(rows.shape[1], device=rows.device)[None], ""
    cacheless = {"use_cache": False} if "use_cache" in names else {}
    with untouched(body), suppress(Exception):  # a model may raise anything
        first, later, further = (
            body.forward(input_ids=rows, position_ids=order + start, **cacheless)[0][:, :BEFORE].float()
            for start in (0, *_LATER)
        )
        if _moved(first, later)[0, 0] > 1e-2 and _moved(later, further)[0, 0] < 1e-3:
            why = "it begins anew at position 0"
        elif _moved(first[0], first[1]).max() < 1e-3 and _moved(further[0], further[1]).max() > 1e-2:
            why = "its tokens see by their positions what is summed up, counted from position 0"
    return why and f"{why}, which keys and values in front take from the text"


def _moved(one: Tensor, other: Tensor) -> Tensor:
    """How far states `(..., H)` moved, as shares of their size."""
    share: Tensor = (one - other).norm(dim=-1) / one.norm(dim=-1)
    return share
