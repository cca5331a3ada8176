"""Layers that keep their weights as 8-bit codes and a scale a row, as quantisers do."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from .models import fresh


class Codes(nn.Module):
    """A linear layer or an embedding whose weight is codes."""

    def __init__(self, own: Any, *, buffers: bool) -> None:
        super().__init__()
        scale = own.weight.detach().abs().amax(1, keepdim=True) / 127
        codes = (own.weight.detach() / scale).round().to(torch.int8)
        if buffers:
            self.register_buffer("weight", codes)
        else:
            self.weight = nn.Parameter(codes, requires_grad=False)
        self.register_buffer("scale", scale)
        self.embeds, self.bias = isinstance(own, nn.Embedding), getattr(own, "bias", None)
        if not self.embeds:
            self.in_features, self.out_features = own.in_features, own.out_features

    def numbers(self) -> Tensor:
        """What the codes stand for."""
        assert isinstance(self.scale, Tensor)
        return self.weight.float() * self.scale

    def forward(self, given: Tensor) -> Tensor:
        table = self.numbers()
        return nn.functional.embedding(given, table) if self.embeds else nn.functional.linear(given, table, self.bias)


def quantised(*, buffers: bool = False, whole: bool = False) -> tuple[Any, Any]:
    """A model with such layers, and one of the numbers that they stand for.

    Args:
        buffers: keep codes in buffers, not in parameters.
        whole: quantise the embedding and the head as well.
    """
    packed = fresh("llama")
    for outer in list(packed.modules()):
        for name, own in list(outer.named_children()):
            if isinstance(own, nn.Linear) and (whole or name != "lm_head"):
                setattr(outer, name, Codes(own, buffers=buffers))
    if whole:
        packed.set_input_embeddings(Codes(packed.get_input_embeddings(), buffers=buffers))
    plain = copy.deepcopy(packed)
    for outer in list(plain.modules()):
        for name, own in list(outer.named_children()):
            if isinstance(own, Codes):
                made = nn.Embedding(*own.weight.shape) if own.embeds else nn.Linear(*own.weight.shape[::-1], bias=False)
                made.weight.data = own.numbers()
                setattr(outer, name, made)
    return packed.eval(), plain.eval()
