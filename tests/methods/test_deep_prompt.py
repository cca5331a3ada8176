"""Deep prompts equal their definition, H^i = L_i(P^i, H^{i-1}), written independently."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from softprompt.attached.attach import attach, build
from softprompt.methods import DeepPrompt
from softprompt.methods.parts import tables

from ..shared.by_hand import ByHand, neutral
from ..shared.models import HIDDEN, LAYERS, ids, model, padded, tokenizer
from ..shared.prompts import TARGET, attached, close, every_family, logits, tiny

EXAMPLES = {"deep_prompt": {"method": "deep_prompt", "num_virtual_tokens": 2, "init_std": 0.5}}

ROWS = [ids(7, 1), ids(4, 2)]
CHOICES = {
    "all": [0, 1, 2],
    "input": [0],
    "first_half": [0],
    "latter_half": [1, 2],
    "odd": [0, 2],
    "middle": [1],
    "2": [2],
}


@pytest.mark.parametrize("family", ["t5", "llama", "bert"])
@pytest.mark.parametrize("select", list(CHOICES))
def test_the_equation(family: str, select: str) -> None:
    prompted_layers = CHOICES[select]
    with (
        attached(model(family), DeepPrompt(num_virtual_tokens=2, init_std=0.7, select=select)) as prompted,
        torch.no_grad(),
    ):
        table = prompted.prompts[0].table.clone()
        found = logits(prompted, *padded(ROWS, "left"))

    def rule(layer: int, *_: Any) -> Tensor | None:
        return table[prompted_layers.index(layer)].expand(2, -1, -1) if layer in prompted_layers else None

    given, mask = padded(ROWS, "right")
    decoder_ids = TARGET.expand(2, -1) if family == "t5" else None
    with torch.no_grad():
        derived = ByHand(model(family), given, mask, 2, decoder_ids, start=neutral(model(family))).logits(rule)
    for row, seen, one in zip(derived, mask, found, strict=True):
        close(one, row if family == "t5" else row[seen.bool()], 1e-5)


@every_family
def test_scalars(family: str) -> None:
    with tiny(family, DeepPrompt(num_virtual_tokens=3)) as prompted:
        assert sum(p.numel() for p in prompted.parameters() if p.requires_grad) == LAYERS * 3 * HIDDEN


@pytest.mark.parametrize("family", ["llama", "gpt2", "qwen3", "gemma3"])
def test_training_starts_where_words_in_front_would_stand(family: str) -> None:
    """On causal models the untrained prompt is a text of words: the states that these make are the first values."""
    backbone = model(family)
    drawn = torch.tensor([[17, 44, 5]])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "population", lambda setting: drawn[0])
        patch.setattr(torch, "randperm", lambda count, generator: torch.arange(count))
        prompt = build(backbone, tokenizer(), DeepPrompt(num_virtual_tokens=3))
    with torch.no_grad(), attach(backbone, tokenizer(), prompt) as prompted:
        found = prompted(input_ids=ROWS[0]).logits
    with torch.no_grad():
        words = backbone(input_ids=torch.cat([drawn, ROWS[0]], dim=1)).logits[:, 3:]
    close(found, words, 1e-5)
