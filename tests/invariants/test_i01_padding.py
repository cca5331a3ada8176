"""I1: the side and the amount of padding change nothing."""

from __future__ import annotations

import pytest
import torch

from ..shared.models import PAD, ids, padded
from ..shared.prompts import close, every_family, every_method, logits, tiny


@every_family
@every_method
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_no_logit(family: str, method: str, side: str) -> None:
    with tiny(family, method) as prompted, torch.no_grad():
        alone = logits(prompted, ids(6))[0]
        for amount in (0, 1, 7):
            close(logits(prompted, *padded([ids(6)], side, amount))[0], alone)


@every_family
@every_method
def test_the_ids_under_the_padding_change_no_logit(family: str, method: str) -> None:
    with tiny(family, method) as prompted, torch.no_grad():
        for side in ("left", "right"):
            batch, mask = padded([ids(6)], side, 3)
            other = torch.where(batch == PAD, 17, batch)
            close(logits(prompted, other, mask)[0], logits(prompted, batch, mask)[0], 1e-6)
