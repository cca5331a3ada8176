"""Whether a body makes of vectors that it is given what it makes of those that it looks up.

Marian, Pegasus and Falcon-H1 multiply what they look up by a scale of theirs, and leave what they are given as it is.
So one short row runs as ids, and again as the vectors that the input embedding gives for them.
"""

from __future__ import annotations

import inspect

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from softprompt.backbones.compat import OF_LAST_TEXT
from softprompt.backbones.probe import trial_rows
from softprompt.backbones.remembered import Remembered, settings_of
from softprompt.backbones.structure import vectors_of
from softprompt.backbones.untouched import untouched

_SCALES = ("embed_scale", "embedding_multiplier")  # names of a scale in a body
_FOUND: Remembered[float | None] = Remembered()


def scale_of_lookups(body: PreTrainedModel, embedding: nn.Module) -> float | None:
    """What vectors have to be multiplied by so that a body takes them for those that it looks up; None where no scale.

    Args:
        body: takes ids; one that cannot be run on them alone is taken to multiply by nothing.
        embedding: its input embedding.
    """
    return _FOUND.of(body, str(settings_of(body)), lambda: _try(body, embedding))


def _try(body: PreTrainedModel, embedding: nn.Module) -> float | None:
    row = trial_rows(body, 1)[:1]
    with untouched(body), torch.device(row.device):  # a sketch has `meta` for the default
        try:
            own, vectors = _states(body, input_ids=row), vectors_of(embedding(row))
        except Exception:  # a model may raise anything
            return 1.0
        told = (getattr(body, name, None) for name in _SCALES)
        for scale in (1.0, *(one for one in told if isinstance(one, float))):
            try:
                given = _states(body, inputs_embeds=vectors * scale)
            except Exception:  # it takes none
                return None
            near = max(1e-3, 16 * torch.finfo(own.dtype).eps) * own.float().norm()
            if given.shape == own.shape and bool((given.float() - own.float()).norm() <= near):
                return scale
    return None


def _states(body: nn.Module, **given: Tensor) -> Tensor:
    """The last states of a row."""
    row = next(iter(given.values()))
    options = {"attention_mask": row.new_ones(row.shape[:2], dtype=torch.long), "use_cache": False}
    names = inspect.signature(body.forward).parameters
    for own in map(vars, body.modules()):  # no text that came before has a say; `untouched` gives it back
        own |= {OF_LAST_TEXT: None} if OF_LAST_TEXT in own else {}
    states: Tensor = body.forward(**given, **{name: one for name, one in options.items() if name in names})[0]
    return states
