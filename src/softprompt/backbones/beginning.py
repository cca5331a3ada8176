"""Whether a body begins anew at position 0, which keys and values in front of a text take from it.

RecurrentGemma forgets what came before where a position is 0, so that padding in front of a text that begins at P runs
into it. A first token sees itself alone, and comes out alike wherever it stands but there.
"""

from __future__ import annotations

import inspect
from contextlib import suppress

import torch
from transformers import PreTrainedModel

from softprompt.backbones.probe import trial_rows
from softprompt.backbones.remembered import Remembered, settings_of
from softprompt.backbones.untouched import untouched

_LATER = (5, 11)  # the other positions that a row begins at, which are to be alike
_FOUND: Remembered[bool] = Remembered()


def begins_anew(body: PreTrainedModel) -> bool:
    """Whether a causal body without absolute positions gives a first token by its position.

    Args:
        body: takes ids; one that takes no `position_ids`, or cannot be run on these alone, is taken not to.
    """
    state = str(settings_of(body))
    return _FOUND.of(body, state, lambda: _try(body))


def _try(body: PreTrainedModel) -> bool:
    row, names = trial_rows(body, 1)[:1], inspect.signature(body.forward).parameters
    if "position_ids" not in names:
        return False
    order, moved = torch.arange(row.shape[1], device=row.device)[None], False
    cacheless = {"use_cache": False} if "use_cache" in names else {}
    with untouched(body), suppress(Exception):  # a model may raise anything
        first, later, further = (
            body.forward(input_ids=row, position_ids=order + start, **cacheless)[0][0, 0].float()
            for start in (0, *_LATER)
        )
        size = first.norm()
        moved = bool((first - later).norm() > 1e-2 * size) and bool((further - later).norm() < 1e-3 * size)
    return moved
