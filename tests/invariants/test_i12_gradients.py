"""I12: only the prompt's parameters get gradient, all of them do, and the backbone's bytes never change."""

from __future__ import annotations

import pytest
import torch

from ..attacks.attaching import state
from ..shared.models import ids, model
from ..shared.prompts import call, every_family, every_method, every_trained, loss_of, tiny


@every_family
@every_trained
def test_a_training_step(family: str, method: str) -> None:
    backbone = model(family)
    before = state(backbone)
    with tiny(family, method) as prompted:
        prompted.train()
        loss_of(prompted, ids(6)).backward()
        own = list(prompted.prompts.parameters())
        assert [id(p) for p in prompted.parameters() if p.requires_grad] == [id(p) for p in own if p.requires_grad]
        if method == "full_finetuning":  # heads that the loss does not use aside
            assert sum(p.grad is not None for p in own) > 10
        else:
            assert all(p.grad is not None and bool((p.grad != 0).any()) for p in own)
            assert all(p.grad is None for p in backbone.parameters())
        torch.optim.AdamW([p for p in own if p.requires_grad], lr=0.1).step()
        loss_of(prompted, ids(6)).backward()
    assert state(backbone) == before


@every_family
@every_method
def test_the_state_is_the_prompt_alone(family: str, method: str) -> None:
    with tiny(family, method) as prompted:
        saved = {name: value.clone() for name, value in prompted.state_dict().items()}
        assert {f"prompts.{name}" for name, _ in prompted.prompts.named_parameters()} == set(saved)
        with torch.no_grad():
            expected = call(prompted, ids(5)).logits
            for parameter in prompted.prompts.parameters():
                parameter.add_(1.0)
            prompted.load_state_dict(saved)
            assert torch.equal(call(prompted, ids(5)).logits, expected)


@pytest.mark.parametrize("family", ["bert", "t5", "llama"])
@pytest.mark.parametrize("method", ["hard_prompt", "head_only"])
def test_nothing_to_train_changes_nothing(family: str, method: str) -> None:
    text = {"input_ids": ids(6)} | ({"decoder_input_ids": ids(3)} if family == "t5" else {})
    with torch.no_grad():
        plain = model(family)(**text).logits
        with tiny(family, method) as prompted:
            assert not any(parameter.requires_grad for parameter in prompted.parameters())
            assert torch.equal(prompted(**text).logits, plain)


@every_family
def test_no_gradient_below_the_lowest_site(family: str) -> None:
    """What lies below a prompt's first layer is not differentiated."""
    from softprompt.methods import DeepPrompt

    with tiny(family, DeepPrompt(select="latter_half", init_std=0.5)) as prompted:
        outputs: dict[int, bool] = {}
        layers = list(prompted.anatomy.layers)
        order = iter(range(len(layers)))
        handles = [
            layer.register_forward_hook(
                lambda module, args, out: outputs.update(
                    {next(order): (out if isinstance(out, torch.Tensor) else out[0]).requires_grad}
                )
            )
            for layer in dict.fromkeys(layers)
        ]
        call(prompted, ids(5))
        for handle in handles:
            handle.remove()
        assert [outputs[layer] for layer in range(3)] == [False, True, True]
