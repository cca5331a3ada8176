"""Attention written out: transformers' own in its place, with its gradients, where it is quicker and nowhere else."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from softprompt.attached.attach import attach
from softprompt.backbones.compat import ALL_ATTENTION_FUNCTIONS
from softprompt.sites import written_attention
from softprompt.sites.written_attention import written_out

from ..shared.models import ids, model, tokenizer
from ..shared.prompts import attached, call, close, producer

SDPA = ALL_ATTENTION_FUNCTIONS["sdpa"]
LEFT = torch.tensor([[1, 1, 1, 1, 1], [0, 0, 1, 1, 1]], dtype=torch.bool)
CAUSAL = torch.ones(5, 5, dtype=torch.bool).tril()[None, None]
MASKS = {
    "none": None,
    "bool": LEFT[:, None, None, :] & CAUSAL | torch.eye(5, dtype=torch.bool),
    "added": torch.zeros(2, 1, 5, 5).masked_fill(~(LEFT[:, None, None, :] | torch.eye(5, dtype=torch.bool)), -1e30),
    "heads": CAUSAL.expand(2, 4, 5, 5),
}


class Counted:
    """Transformers' function, which counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        return SDPA(*args, **kwargs)


def module_of(groups: int, *, causal: bool) -> nn.Module:
    module = nn.Module()
    module.num_key_value_groups, module.is_causal = groups, causal
    return module


def states(groups: int, dtype: torch.dtype = torch.bfloat16, values: int = 8) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    shapes = ((2, 4, 5, 8), (2, 4 // groups, 5, 8), (2, 4 // groups, 5, values))
    return [torch.randn(shape, generator=generator).to(dtype).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("values", [8, 6])
@pytest.mark.parametrize("biased", [True, False])
def test_it_is_the_librarys_with_its_gradients(mask: str, groups: int, causal: bool, values: int, biased: bool) -> None:
    module, given = module_of(groups, causal=causal), MASKS[mask]
    own, found = Counted(), []
    for function, dtype in ((SDPA, torch.float32), (written_out(own), torch.bfloat16)):
        inputs = states(groups, dtype, values)
        shown = given if given is None or given.dtype == torch.bool else given.to(dtype)
        bias = torch.randn(1, 4, 5, 5, generator=torch.Generator().manual_seed(2)).to(dtype).requires_grad_()
        biases = {"position_bias": bias} if biased else {}
        output, weights = function(module, *inputs, shown, scaling=0.4, is_causal=None, dropout=0.0, **biases)
        assert weights is None
        output.float().square().sum().backward()
        found.append([output, *(one.grad for one in (*inputs, *biases.values()))])
    assert own.calls == 0
    for expected, one in zip(*found, strict=True):
        assert one.shape == expected.shape
        close(one.float(), expected, 0.05 * float(expected.detach().abs().max()))


@pytest.mark.parametrize("masked", [True, False])
def test_a_step_of_a_decoder_sees_all_that_came_before(masked: bool) -> None:
    """T5 gives its bias where it may give no mask, and one column of queries is the last of its keys."""
    query, key, value = states(1)
    mask = torch.ones(2, 1, 1, 5, dtype=torch.bool) if masked else None
    bias, own = torch.randn(1, 4, 1, 5).bfloat16(), Counted()
    given = (query[:, :, -1:], key, value, mask)
    output, _ = written_out(own)(module_of(1, causal=True), *given, position_bias=bias)
    assert own.calls == 0
    close(output.float(), SDPA(module_of(1, causal=True), *given, position_bias=bias)[0].float(), 2e-2)


def test_a_row_that_sees_nothing_spoils_no_gradient() -> None:
    mask = torch.ones(2, 1, 5, 5, dtype=torch.bool)
    mask[1] = False
    inputs = states(2)
    output, _ = written_out(SDPA)(module_of(2, causal=True), *inputs, mask)
    output[0].sum().backward()
    assert all(bool(one.grad.isfinite().all()) for one in (output.detach(), *inputs) if one.grad is not None)


OTHERS: dict[str, dict[str, Any]] = {
    "dropout": {"dropout": 0.1},
    "scale": {"scaling": torch.tensor(0.5)},
    "bias": {"position_bias": torch.zeros(1, 4, 1, 5, dtype=torch.bfloat16)},
}


@pytest.mark.parametrize("other", OTHERS)
def test_what_it_is_not_written_for_is_the_librarys(other: str) -> None:
    own = Counted()
    written_out(own)(module_of(1, causal=False), *states(1), MASKS["bool"], **OTHERS[other])
    assert own.calls == 1


def test_elsewhere_it_is_the_librarys_to_the_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    own, module = Counted(), module_of(2, causal=True)
    for number, dtype in enumerate((torch.float32, torch.float64), 1):
        inputs = states(2, dtype)
        assert torch.equal(written_out(own)(module, *inputs, None)[0], SDPA(module, *inputs, None)[0])
        assert own.calls == number
    with torch.no_grad():  # what a training reads and what its evaluations read is made alike
        written_out(own)(module, *states(2), None)
    assert own.calls == 2
    monkeypatch.setattr(written_attention, "_MOST", 24)
    written_out(own)(module, *states(2), None)
    assert own.calls == 3
    for most, calls in ((25, 3), (100, 3), (99, 4)):  # with keys of its own a head may have a quarter
        monkeypatch.setattr(written_attention, "_MOST", most)
        groups = 2 if most == 25 else 1
        written_out(own)(module_of(groups, causal=True), *states(groups), None)
        assert own.calls == calls


@pytest.mark.parametrize(
    ("family", "method"),
    [("bert", "capt"), ("llama", "capt"), ("gemma3", "lora"), ("qwen3", "p_tuning_v2"), ("t5", "capt")],
)
def test_a_training_step_is_as_near_to_float32(family: str, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mask = torch.tensor([[1] * 6, [0, 0, 1, 1, 1, 1]])
    found, seen, quick = [], list[bool](), written_attention._is_quicker
    for dtype, allowed in ((torch.float32, False), (torch.bfloat16, False), (torch.bfloat16, True)):

        def told(*given: Any, allowed: bool = allowed) -> bool:
            seen.append(quick(*given))
            return allowed and seen[-1]

        monkeypatch.setattr(written_attention, "_is_quicker", told)
        with attached(copy.deepcopy(model(family)).to(dtype), method) as prompted:
            prompted.train()
            logits = call(prompted, torch.cat([ids(6), ids(6) + 1]), mask).logits.float()
            logits[:, 2:].square().mean().backward()  # what padding gives is nothing to anybody
            grads = [one.grad.flatten() for one in prompted.prompts.parameters() if one.grad is not None]
            found.append(torch.cat(grads))
    assert any(seen)
    fused, written = (float((one - found[0]).norm()) for one in found[1:])
    assert written < 1.5 * fused


def test_checkpoints_recompute_the_same() -> None:
    backbone, found = copy.deepcopy(model("llama")).to(torch.bfloat16), []
    for recompute in (False, True):
        with attached(backbone, "capt") as prompted:
            prompted.train()
            if recompute:
                prompted.activation_checkpointing_enable()
            call(prompted, ids(6)).logits.float().square().mean().backward()
            found.append(torch.cat([one.grad.flatten() for one in prompted.prompts.parameters()]))
    assert torch.equal(*found)


def test_calls_that_are_not_the_prompts_keep_their_bits() -> None:
    backbone = copy.deepcopy(model("llama")).to(torch.bfloat16)
    vectors = backbone.get_input_embeddings()(ids(6)).detach().requires_grad_()
    before = backbone(inputs_embeds=vectors).logits
    with attach(backbone, tokenizer(), producer(backbone, "capt")):
        assert torch.equal(backbone(inputs_embeds=vectors).logits, before)
    assert backbone.config._attn_implementation == "sdpa"
