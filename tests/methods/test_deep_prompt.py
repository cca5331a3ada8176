"""Deep prompts equal their definition, H^i = L_i(P^i, H^{i-1}), written independently."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from softprompt.methods import DeepPrompt

from ..models import HIDDEN, LAYERS, ids, model, padded
from ..prompts import TARGET, attached, close, every_family, logits, tiny
from .by_hand import ByHand

EXAMPLES = {"deep_prompt": {"method": "deep_prompt", "num_virtual_tokens": 2, "init_std": 0.5}}

ROWS = [ids(7, 1), ids(4, 2)]
DEPTHS = {"all": [0, 1, 2], "input": [0], "first_half": [0], "latter_half": [1, 2], "odd": [0, 2]}


@pytest.mark.parametrize("family", ["t5", "llama", "bert"])
@pytest.mark.parametrize("depth", list(DEPTHS))
def test_the_equation(family: str, depth: str) -> None:
    prompted_layers = DEPTHS[depth]
    with (
        attached(model(family), DeepPrompt(num_virtual_tokens=2, init_std=0.7, depth=depth)) as prompted,
        torch.no_grad(),
    ):
        table = prompted.prompts[0].table.clone()
        found = logits(prompted, *padded(ROWS, "left"))

    def rule(layer: int, *_: Any) -> Tensor | None:
        return table[prompted_layers.index(layer)].expand(2, -1, -1) if layer in prompted_layers else None

    given, mask = padded(ROWS, "right")
    decoder_ids = TARGET.expand(2, -1) if family == "t5" else None
    with torch.no_grad():
        derived = ByHand(model(family), given, mask, 2, decoder_ids).logits(rule)
    for row, seen, one in zip(derived, mask, found, strict=True):
        close(one, row if family == "t5" else row[seen.bool()], 1e-5)


@every_family
def test_scalars(family: str) -> None:
    with tiny(family, DeepPrompt(num_virtual_tokens=3)) as prompted:
        assert sum(p.numel() for p in prompted.parameters() if p.requires_grad) == LAYERS * 3 * HIDDEN
