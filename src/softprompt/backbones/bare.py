"""A model that wraps a backbone, told from the backbone itself."""

from __future__ import annotations

from torch import nn


class Wrapping(nn.Module):
    """A module around a backbone, which answers for all that it does not do itself.

    Attributes:
        backbone: the user's model.
    """

    backbone: nn.Module


def bare(model: nn.Module) -> nn.Module:
    """The backbone of an attached model, or the model itself where nothing is attached through it."""
    return model.backbone if isinstance(model, Wrapping) else model
