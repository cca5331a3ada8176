"""I16: over a bf16 or an int8 backbone, prompts stay fp32 and finite."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from ..shared.models import ids, model, padded
from ..shared.prompts import attached, call, every_family, every_method, every_trained, logits, loss_of, tiny

BF16 = torch.bfloat16


@every_family
@every_trained
def test_training_over_bf16(family: str, method: str) -> None:
    """Full fine-tuning alone trains in the precision of the weights that it stands for."""
    with tiny(family, method, dtype=BF16) as prompted:
        own = [p for p in prompted.prompts.parameters() if p.requires_grad]
        wanted = BF16 if method == "full_finetuning" else torch.float32
        assert {p.dtype for p in own} == {wanted}
        optimizer = torch.optim.AdamW(own, lr=0.01)
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(prompted, ids(6)).backward()
            assert all(torch.isfinite(p.grad).all() for p in own if p.grad is not None)
            optimizer.step()
        assert {p.dtype for p in own} == {wanted}
        assert all(torch.isfinite(p).all() for p in own)


@every_family
@every_method
def test_logits_over_bf16_are_those_over_fp32(family: str, method: str) -> None:
    with tiny(family, method, dtype=BF16) as prompted, torch.no_grad():
        batch, mask = padded([ids(6, 1), ids(4, 2)], "left")
        low = call(prompted, batch, mask).logits
        assert low.dtype == BF16
    if method == "full_finetuning":
        return  # its random move was drawn in another precision
    with tiny(family, method) as prompted, torch.no_grad():
        high = call(prompted, batch, mask).logits
    seen = mask.bool() if high.shape[1] == mask.shape[1] else torch.ones(high.shape[:2], dtype=torch.bool)
    error = (low.float() - high)[seen].abs().mean() / high[seen].abs().mean()
    assert error < 0.15


@every_family
@every_trained
def test_training_under_autocast(family: str, method: str) -> None:
    """As Trainer's `bf16=True` runs an fp32 backbone."""
    with tiny(family, method) as prompted:
        own = [p for p in prompted.prompts.parameters() if p.requires_grad]
        with torch.autocast("cpu", dtype=BF16):
            loss = loss_of(prompted, ids(6))
        loss.backward()
        assert {p.dtype for p in own} == {torch.float32}
        assert all(torch.isfinite(p.grad).all() for p in own if p.grad is not None)


@pytest.mark.filterwarnings("ignore:.*torch.ao.quantization:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*quantized:UserWarning")
@pytest.mark.parametrize("family", ["bert", "roberta", "albert", "t5", "bart", "llama", "qwen3", "gemma3"])
@pytest.mark.parametrize("method", ["capt", "prompt_tuning", "p_tuning_v2", "p_tuning_v2_projection", "deep_prompt"])
def test_int8(family: str, method: str) -> None:
    """torch's dynamic int8 layers (GPT-2 has none to quantise); they give no gradient, so inference alone is shown."""
    with torch.no_grad():
        backbone = torch.ao.quantization.quantize_dynamic(copy.deepcopy(model(family)), {nn.Linear}, dtype=torch.qint8)
        rows = [ids(6, 1), ids(4, 2)]
        with attached(backbone, method) as prompted:
            assert {p.dtype for p in prompted.prompts.parameters()} == {torch.float32}
            together = logits(prompted, *padded(rows, "left"))
            assert all(torch.isfinite(row).all() for row in together)
        with tiny(family, method) as prompted:
            for one, two in zip(together, logits(prompted, *padded(rows, "left")), strict=True):
                assert (one - two).abs().mean() / two.abs().mean() < 0.5
