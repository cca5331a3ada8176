"""I2: a row in a batch gives what it gives alone, logits and greedy tokens."""

from __future__ import annotations

import pytest
import torch

from ..shared.models import EOS, ids, padded
from ..shared.prompts import close, every_family, every_generative, every_method, logits, tiny

ROWS = [ids(7, 1), ids(3, 2), ids(5, 3)]


@every_family
@every_method
@pytest.mark.parametrize("side", ["left", "right"])
def test_logits(family: str, method: str, side: str) -> None:
    with tiny(family, method) as prompted, torch.no_grad():
        for together, row in zip(logits(prompted, *padded(ROWS, side)), ROWS, strict=True):
            close(together, logits(prompted, row)[0])


@every_generative
@every_method
def test_greedy_tokens(family: str, method: str) -> None:
    with tiny(family, method) as prompted:
        options = {"max_new_tokens": 8, "min_new_tokens": 8, "do_sample": False, "eos_token_id": EOS}
        batch, mask = padded(ROWS, "left")
        together = prompted.generate(batch, attention_mask=mask, **options)
        for index, row in enumerate(ROWS):
            alone = prompted.generate(row, attention_mask=torch.ones_like(row), **options)
            assert together[index, -8:].tolist() == alone[0, -8:].tolist()
