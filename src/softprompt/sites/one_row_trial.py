"""Whether rows of an encoder come out of one row as they do of a padded batch: found by a trial.

Decoders keep packed documents apart, which nobody asks of encoders: one may count its columns, read a summary off the
first of them, or not hand on what its layers are given. So three rows of several lengths, each behind a virtual token,
run once as one row and once as they are. What was found is kept as long as the body lives and its configuration stays.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from softprompt.backbones.anatomy import Anatomy
from softprompt.backbones.probe import trial_rows
from softprompt.backbones.remembered import Remembered, settings_of
from softprompt.backbones.resting import device_of
from softprompt.backbones.untouched import untouched
from softprompt.sites.asking import Around, opened
from softprompt.sites.padding import trial_call
from softprompt.sites.producer import Producer

_LENGTHS = (24, 9, 16)
_FOUND: Remembered[bool] = Remembered()


class _Placed(Producer):
    """A virtual token whose vector is zero."""

    count = 1


def comes_out_alike(anatomy: Anatomy, around: Mapping[nn.Module, Around]) -> bool:
    """Whether an encoder's rows may run as one row, tried or remembered; not where it cannot be run on ids alone.

    Args:
        anatomy: the parts of the backbone, whose modules ask the open call and whose attention is the twin.
        around: what works around them.
    """
    body = anatomy.body
    state = str(settings_of(body))
    return _FOUND.of(body, (state, device_of(body).type), lambda: _try(anatomy, around))


def _try(anatomy: Anatomy, around: Mapping[nn.Module, Around]) -> bool:
    body = anatomy.body
    assert isinstance(body, PreTrainedModel)
    if device_of(body).type == "meta" or not anatomy.layers:
        return False
    try:
        with untouched(body):
            row = trial_rows(body, max(_LENGTHS) // 8)[0]
            mask = torch.stack([torch.arange(len(row)) < length for length in _LENGTHS]).long().to(row.device)
            ids = torch.where(mask.bool(), row, getattr(anatomy.config, "pad_token_id", None) or 0)
            as_one, as_they_are = (_run(anatomy, around, ids, mask, apart=apart) for apart in (False, True))
    except Exception:  # a model may raise anything
        return False
    return len(as_one) == len(as_they_are) and all(map(_are_near, as_one, as_they_are))


def _run(
    anatomy: Anatomy, around: Mapping[nn.Module, Around], ids: Tensor, mask: Tensor, *, apart: bool
) -> list[Tensor]:
    """The states of all tokens of the text, `(T, H)`, and the summaries of the rows where the body gives some.

    Raises:
        ValueError: the rows did not run as one where they should have.
    """
    call = trial_call(anatomy, around, _Placed(), len(ids), apart=apart)
    with opened(call):
        output = anatomy.body(input_ids=ids, attention_mask=mask)
    shared = call.shared_prefix
    if not apart and (shared is None or not shared.used.issuperset(filter(None, anatomy.attentions))):
        raise ValueError("attention was not told of the rows")
    pooled = getattr(output, "pooler_output", None)
    return [output[0][mask.bool()], *([pooled] if isinstance(pooled, Tensor) else [])]


def _are_near(one: Tensor, other: Tensor) -> bool:
    near = max(1e-3, 16 * torch.finfo(other.dtype).eps)
    one, other = one.float(), other.float()
    return one.shape == other.shape and bool(((one - other).norm(dim=-1) <= near * other.norm(dim=-1)).all())
