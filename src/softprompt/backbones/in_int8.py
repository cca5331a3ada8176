"""Whether a loaded model multiplies in int8, as it was asked to: tried here, and told in one line."""

from __future__ import annotations

import logging

import torch
from transformers import PreTrainedModel

from softprompt.backbones.anatomy import read_anatomy
from softprompt.backbones.dtype import name_of
from softprompt.backbones.int8 import INT8_TYPES, has_int8, keep_codes, tried_int8

_LOG = logging.getLogger(__name__)
_CLEARLY = 1.15  # how much faster a product must be: less is lost around it


def use_int8(model: PreTrainedModel, device: torch.device) -> None:
    """Keep a model's layers in int8, too, where that is faster here; one line says what became of it.

    Args:
        model: whose weights are in memory.
        device: where they are.

    Raises:
        SoftPromptError: the family follows no known anatomy.
    """
    name, times = name_of(model.dtype), 0.0
    why = _unfit(model, device)
    if not why:
        times = tried_int8(model.dtype) if has_int8() else 0.0
        told = f"multiplies {times:.1f}x as fast as in {name}" if times else "has no exact int8 products"
        why = f"this processor {told} when tried" if times < _CLEARLY else ""
    anatomy = None if why else read_anatomy(model)
    taken = 0 if anatomy is None else keep_codes([*anatomy.layers, *anatomy.decoder_layers])
    if not taken:
        _LOG.warning("int8 is left out: %s", why or "no linear layer of the backbone is large enough to gain by it")
        return
    told = f"int8: products {times:.1f}x as fast as in {name} on this processor, {taken / 1e6:.0f} MB more"
    _LOG.info("%s; answers differ a little", told)


def _unfit(model: PreTrainedModel, device: torch.device) -> str:
    """Why a model has nothing to multiply in int8; empty where it has."""
    if device.type != "cpu":
        return f"it is for the CPU, and the backbone is on {device}"
    if model.dtype not in INT8_TYPES:
        return f"it stands in for float32 and bfloat16, and the backbone is in {name_of(model.dtype)}"
    return ""
