"""A deep copy of a model whose modules are exchanged by hand: what weight-side methods are compared with."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from .models import model


def path_in(backbone: nn.Module, path: str) -> str:
    """The path in the whole model of a module that a method names by its path in the body or the two stacks."""
    names = [name for name, _ in backbone.named_modules()]
    (found,) = (name for name in names if name == path or name.endswith(f".{path}"))
    return found


def copied(family: str, **options: Any) -> Any:
    """A copy of a tiny model, its parameters free to train."""
    return copy.deepcopy(model(family, **options))


class Followed(nn.Module):
    """A projection, and the formula of an adapter after it."""

    def __init__(self, inner: nn.Module, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> None:
        super().__init__()
        self.inner, self.values = inner, (w1, b1, w2, b2)
        self.weight = inner.weight  # T5 looks at its type

    def forward(self, states: Tensor) -> Tensor:
        x = self.inner(states)
        w1, b1, w2, b2 = self.values
        inner = x @ w1.T + b1
        return x + (0.5 * inner * (1 + torch.erf(inner / 2**0.5))) @ w2.T + b2
