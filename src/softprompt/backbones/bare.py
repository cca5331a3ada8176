"""The backbone itself, told from what holds it: a model that wraps it, or a pair with its tokenizer."""

from __future__ import annotations

from typing import cast

from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from softprompt.backbones.wrapped import unwrapped
from softprompt.guards.kinds import check_kind


class Wrapping(nn.Module):
    """A module around a backbone, which answers for all that it does not do itself.

    Attributes:
        backbone: the user's model.
    """

    backbone: nn.Module


class Pair(tuple[PreTrainedModel, PreTrainedTokenizerBase]):
    """A model and its tokenizer."""

    __slots__ = ()

    @property
    def model(self) -> PreTrainedModel:
        """The model."""
        return self[0]

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Its tokenizer."""
        return self[1]


def bare(model: nn.Module | Pair) -> PreTrainedModel:
    """The model of a pair, the backbone of an attached model, what PEFT wraps, or else the model itself.

    Raises:
        SoftPromptError: it is no model, or wrapped by what takes part in calls.
    """
    own = model.model if isinstance(model, Pair) else model
    check_kind("read_anatomy", "model", own, nn.Module)
    # What is none of transformers' classes has its family's reader (`register_anatomy`), and is used as one.
    return cast("PreTrainedModel", unwrapped(own.backbone if isinstance(own, Wrapping) else own))
