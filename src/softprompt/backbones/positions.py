"""Where a body is told positions: by itself, at a table inside it, or at the text model that it wraps."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Sequence
from functools import partial

import torch
from torch import nn
from transformers import PreTrainedModel

from softprompt.backbones.remembered import Remembered
from softprompt.backbones.resting import device_of
from softprompt.backbones.structure import dig
from softprompt.backbones.untouched import untouched

_TAKES: Remembered[bool] = Remembered()


def told_positions(body: PreTrainedModel, layers: Sequence[nn.Module]) -> tuple[bool, nn.Module | None]:
    """Whether a body takes `position_ids`, and the module inside it that is told them, or None.

    Args:
        body: takes ids.
        layers: its layers.
    """
    takes, inside = "position_ids" in inspect.signature(body.forward).parameters, _text_model(body, layers)
    return takes, inside if inside is not None or takes else _table(body, layers)


def _text_model(body: nn.Module, layers: Sequence[nn.Module]) -> nn.Module | None:
    """The model of text that a body wraps, which takes embeddings and their positions; None where it wraps none.

    The wrapper may work positions out by itself, of text and images (Qwen2-VL), or name them nowhere in its `forward`.

    Args:
        body: takes ids.
        layers: its layers.
    """
    found: nn.Module | None = body
    while layers and found is not None:
        found = next((part for part in found.children() if layers[0] in set(part.modules())), None)
        if found is None or found in layers:
            return None
        if {"inputs_embeds", "position_ids"} <= inspect.signature(found.forward).parameters.keys():
            return found
    return None


def _table(body: PreTrainedModel, layers: Sequence[nn.Module]) -> nn.Module | None:
    """The part of a body that counts columns unless it is told positions (BART), or None.

    Args:
        body: takes ids, and no positions.
        layers: its layers.
    """
    around = set(layers)
    parts = (part for part in body.children() if around.isdisjoint(part.modules()))
    named = (part for part in parts if "position_ids" in inspect.signature(part.forward).parameters)
    return next((part for part in named if _TAKES.of(part, None, partial(_takes, body, part))), None)


def _takes(body: PreTrainedModel, table: nn.Module) -> bool:
    """Whether a table can be told positions, tried on two tokens: ProphetNet's names them and refuses them."""
    device = device_of(body)
    ids = torch.full((1, 2), 3, device="cpu" if device.type == "meta" else device)
    told, me = {"position_ids": torch.arange(2, device=ids.device)[None]}, threading.get_ident()

    def tell(module: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        if threading.get_ident() == me:  # another thread may be running the same model
            module.forward(*args, **{**kwargs, **told})
            raise _Answered

    with untouched(body):
        handle = table.register_forward_pre_hook(tell, with_kwargs=True)
        try:
            body.forward(input_ids=ids)
        except _Answered:
            return True
        except Exception:  # a model may raise anything
            return False
        finally:
            handle.remove()
    return False


class _Answered(Exception):
    """The table answered."""


def position_table(body: nn.Module) -> nn.Module | None:
    """The table of learned absolute positions, or None."""
    for path in ("embeddings.position_embeddings", "wpe", "embed_positions"):
        found = dig(body, path)
        if isinstance(found, nn.Embedding):
            return found
    return None
