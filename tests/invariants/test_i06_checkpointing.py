"""I6: gradient checkpointing changes no bit of the loss or the gradients.

Transformers has no checkpoints for ALBERT.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from softprompt.attached.model import PromptedModel
from softprompt.errors import SoftPromptError

from ..shared.models import CORE, ids, padded
from ..shared.prompts import attached, every_trained, loss_of, model, tiny

every_family = pytest.mark.parametrize("family", [family for family in CORE if family != "albert"])


BATCH, SEEN = padded([ids(7, 1), ids(4, 2)], "right")


def gradients(prompted: PromptedModel, *, passes: int = 1, checkpointing: bool) -> list[Tensor]:
    """The loss and every gradient of a training step of several passes before one backward."""
    if checkpointing:
        prompted.activation_checkpointing_enable()
    else:
        prompted.backbone.activation_checkpointing_disable()
    prompted.train()
    prompted.zero_grad()
    rows = [(BATCH, SEEN), (BATCH.flip(0), SEEN.flip(0))][:passes]
    loss = torch.stack([loss_of(prompted, b, mask=m, use_cache=False) for b, m in rows]).sum()
    loss.backward()
    return [loss.detach(), *(p.grad.clone() for p in prompted.parameters() if p.grad is not None)]


@every_family
@every_trained
@pytest.mark.parametrize("passes", [1, 2])
def test_on_and_off_are_bit_equal(family: str, method: str, passes: int) -> None:
    with tiny(family, method) as prompted:
        off = gradients(prompted, passes=passes, checkpointing=False)
        on = gradients(prompted, passes=passes, checkpointing=True)
        assert len(on) == len(off) > 1
        assert all(torch.equal(one, two) for one, two in zip(on, off, strict=True))
        assert any(bool(gradient.abs().max() > 0) for gradient in on[1:])


@every_family
@every_trained
def test_layers_really_checkpoint(family: str, method: str) -> None:
    """The first property would hold for checkpoints that never run."""
    with tiny(family, method) as prompted:
        prompted.activation_checkpointing_enable()
        prompted.train()
        runs = []
        layer = prompted.anatomy.layers[-1]
        inner = next(m for m in layer.modules() if isinstance(m, torch.nn.Linear) or type(m).__name__ == "Conv1D")
        handle = inner.register_forward_hook(lambda *_: runs.append(1))
        loss_of(prompted, ids(5), use_cache=False).backward()
        handle.remove()
        assert len(runs) == 2


@every_family
@pytest.mark.parametrize("method", ["capt", "p_tuning_v2"])
def test_the_frozen_models_dropout_rests_inside_checkpoints(family: str, method: str) -> None:
    with attached(model(family, dropout=0.5), method) as prompted:
        off = gradients(prompted, checkpointing=False)
        on = gradients(prompted, checkpointing=True)
        assert all(torch.equal(one, two) for one, two in zip(on, off, strict=True))


@every_family
def test_dropout_works_where_it_is_asked_for(family: str) -> None:
    if family in ("llama", "qwen3", "gemma3"):
        pytest.skip("the fused attention of these tiny models has the only dropout")
    with attached(model(family, dropout=0.5), "capt", dropout=True) as prompted:
        prompted.train()
        assert not torch.equal(loss_of(prompted, ids(6)), loss_of(prompted, ids(6)))
        prompted.eval()
        assert torch.equal(loss_of(prompted, ids(6)), loss_of(prompted, ids(6)))


@pytest.mark.parametrize("method", ["p_tuning_v2", "lora", "ia3", "adapter"])
def test_what_is_inside_layers_refuses_reentrant_checkpoints(method: str) -> None:
    with tiny("llama", method) as prompted:
        prompted.activation_checkpointing_enable({"use_reentrant": True})
        with pytest.raises(SoftPromptError, match="use_reentrant=False"):
            prompted.train()


@pytest.mark.parametrize("method", ["capt", "prompt_tuning", "full_finetuning"])
def test_what_stands_before_the_layers_trains_through_reentrant_checkpoints(method: str) -> None:
    with tiny("llama", method) as prompted:
        off = gradients(prompted, checkpointing=False)
        prompted.activation_checkpointing_enable({"use_reentrant": True})
        prompted.train()
        prompted.zero_grad()
        loss_of(prompted, BATCH, mask=SEEN, use_cache=False).backward()
        on = [p.grad for p in prompted.parameters() if p.grad is not None]
        assert all(torch.equal(one, two) for one, two in zip(on, off[1:], strict=True))
