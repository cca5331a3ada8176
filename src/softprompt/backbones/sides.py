"""Which part of a model reads text, and so takes prompts: the model, both sides of two, or one behind what it hears.

An encoder of sounds or images has no word to stand beside. Its decoder reads text, so there the prompts stand: in front
of what is decoded, as in front of any decoder-only model's text. Our choice.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from softprompt.backbones.probe import Behaviour
from softprompt.backbones.resting import device_of
from softprompt.backbones.structure import input_embedding
from softprompt.backbones.untouched import untouched
from softprompt.errors import SoftPromptError

IDS = "input_ids"
_TOKENS = 6


@dataclass(frozen=True)
class Sides:
    """The parts of a model that read text.

    Attributes:
        encoder: of an encoder-decoder whose both sides read text, else None.
        decoder: of an encoder-decoder, else None.
        source: what the encoder reads where that is no text, such as `input_features`; else empty.
    """

    encoder: PreTrainedModel | None = None
    decoder: PreTrainedModel | None = None
    source: str = ""


def sides_of(model: nn.Module, family: str) -> Sides:
    """The parts of a model that read text; of a model of one side there are none to tell apart.

    Args:
        model: whose configuration may speak of two sides where it has one.
        family: by which it is named.

    Raises:
        SoftPromptError: nothing in it reads text, or of several models in it one does, or an encoder of text that tells
            nothing of itself (FSMT).
    """
    config: PreTrainedConfig | None = getattr(model, "config", None)
    if getattr(config, "is_encoder_decoder", False):
        encoder, decoder = (_part(model, name) for name in ("get_encoder", "get_decoder"))
        apart = encoder is not None and decoder is not None and encoder not in set(decoder.modules())
        if apart and _reads(encoder):
            return Sides(cast("PreTrainedModel", encoder), cast("PreTrainedModel", decoder))
        if apart and encoder is not None and _takes_ids(encoder) and not hasattr(encoder, "config"):
            raise SoftPromptError(
                f"family {family!r}: {type(encoder).__name__} reads text, but has no configuration by which its parts "
                "could be read: choose another backbone"
            )
        if apart and encoder is not None and not _takes_ids(encoder) and _reads(decoder):
            return Sides(None, cast("PreTrainedModel", decoder), _main_input(model))
    if not _takes_ids(model):
        raise SoftPromptError(
            f"family {family!r} reads {_main_input(model)}, not the ids of words, so that no prompt has a place in it: "
            "attach to a model that reads text"
        )
    names = _readers(model)
    if names and input_embedding(model) is None:
        raise SoftPromptError(
            f"family {family!r} is several models in one, of which prompts are for the one that reads text: attach "
            f"to {' or '.join(names)}"
        )
    return Sides()


def require_run(model: nn.Module, body: PreTrainedModel, found: Behaviour, family: str) -> None:
    """Refuse a model that does not run on text alone where the part of it that reads text can be named (SigLIP).

    Raises:
        SoftPromptError: names it; or what runs gives no column for each token (Perceiver).
    """
    given = _columns(body) if getattr(body, "base_model", body) is not body else None
    if given is not None and given != _TOKENS:
        raise SoftPromptError(
            f"family {family!r} gives {given} columns for {_TOKENS} tokens, so that those of virtual tokens cannot be "
            "told apart: choose another backbone"
        )
    if found.causal and getattr(body.config, "ngram", None):  # ProphetNet
        raise SoftPromptError(
            f"family {family!r} predicts several tokens at once, from streams of states in which virtual tokens have "
            "no part: choose another backbone"
        )
    names = _readers(model) if found.causal is None else []
    if names:
        raise SoftPromptError(
            f"family {family!r} does not run on ids alone ({found.why}): attach to what reads text in it, "
            f"{' or '.join(names)}"
        )


def _columns(body: PreTrainedModel) -> int | None:
    """How many columns a body whose head is inside it gives for a few tokens; None where it cannot be run on them."""
    row = torch.arange(5, 5 + _TOKENS, device=device_of(body))[None]
    try:
        with untouched(body):
            first: object = body(input_ids=row, return_dict=True)[0]
    except Exception:  # a model may raise anything
        return None
    return int(first.shape[1]) if isinstance(first, Tensor) and first.ndim == 3 else None


def _readers(model: nn.Module) -> list[str]:
    """The parts beside its body that are models of text themselves, as a user would write them."""
    body = getattr(model, "base_model", None)
    models = ((name, part) for name, part in model.named_children() if isinstance(part, PreTrainedModel))
    return [f"model.{name}" for name, part in models if part is not body and _reads(part) and not _wanted(part) - {IDS}]


def _wanted(module: nn.Module) -> set[str]:
    """The arguments that a module cannot be called without."""
    named = inspect.signature(module.forward).parameters.values()
    return {one.name for one in named if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD}


def _part(model: nn.Module, getter: str) -> nn.Module | None:
    found = getattr(model, getter, lambda: None)()
    return found if isinstance(found, nn.Module) else None


def _reads(part: nn.Module | None) -> bool:
    """Whether a module takes ids and looks them up in a table."""
    embedding = None if part is None else input_embedding(part)
    return part is not None and embedding is not None and _takes_ids(part)


def _takes_ids(module: nn.Module) -> bool:
    named = inspect.signature(module.forward).parameters
    return IDS in named or all(one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD) for one in named.values())


def _main_input(model: nn.Module) -> str:
    """The name of what a model reads first."""
    told: object = getattr(model, "main_input_name", None)
    names = list(inspect.signature(model.forward).parameters)
    return told if isinstance(told, str) and told != IDS and told in names else next(iter(names), "nothing")
