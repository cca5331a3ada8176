"""Backward passes of frozen norms, written out: autograd's gradients, and autograd itself where they are not."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers.models.gemma3.modeling_gemma3 import Gemma3RMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.models.t5.modeling_t5 import T5LayerNorm

from softprompt.sites import norms
from softprompt.sites.norms import gradient_of, normed, norms_of

from ..shared.models import ids, model
from ..shared.prompts import attached, call, close

KINDS: dict[str, Any] = {"llama": LlamaRMSNorm, "gemma3": Gemma3RMSNorm, "t5": T5LayerNorm}


@pytest.fixture(autouse=True)
def however_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests have few states."""
    monkeypatch.setattr(norms, "_LEAST", 0)


class Centred(nn.Module):
    """A norm in name: it takes the mean away."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(8)), 1e-6

    def forward(self, states: Tensor) -> Tensor:
        moved = states - states.mean(-1, keepdim=True)
        return self.weight * moved * torch.rsqrt(moved.square().mean(-1, keepdim=True) + self.eps)


def norm(kind: str, dtype: torch.dtype = torch.float32, size: float = 1.0) -> nn.Module:
    made: nn.Module = KINDS[kind](8)
    with torch.no_grad():
        made.weight.copy_(torch.randn(8, generator=torch.Generator().manual_seed(3)) * size)  # type: ignore[operator]
    return made.to(dtype).requires_grad_(False)


def passed(module: nn.Module, dtype: torch.dtype, *, written: bool) -> tuple[Tensor, Tensor]:
    """What the norm gives, and the gradient of its argument."""
    generator = torch.Generator().manual_seed(5)
    states, gradient = (torch.randn(2, 3, 8, generator=generator).to(dtype) for _ in range(2))
    states.requires_grad_()
    output = normed(module, module.forward, states) if written else module(states)
    return output.detach(), torch.autograd.grad(output, states, gradient)[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1.0, 100.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_gradient_is_autograds_and_the_output_the_models(kind: str, size: float, dtype: torch.dtype) -> None:
    module = norm(kind, dtype, size)
    (expected, gradient), (found, own) = (passed(module, dtype, written=written) for written in (False, True))
    assert torch.equal(found, expected)
    assert own.dtype == dtype
    scale = float(gradient.abs().max())
    close(own.float() / scale, gradient.float() / scale, 1e-5 if dtype == torch.float32 else 2e-2)
    written = kind != "t5" or dtype == torch.float32  # in bfloat16 it rounds what it is tried with
    assert norms._FOUND[module] == ((1.0 if kind == "gemma3" else 0.0) if written else None)


def test_the_equation_in_float64() -> None:
    states, scale, gradient = torch.randn(4, 8, dtype=torch.float64), torch.randn(8), torch.randn(4, 8)
    states.requires_grad_()
    output = scale * states * torch.rsqrt(states.square().mean(-1, keepdim=True) + 1e-6)
    (expected,) = torch.autograd.grad(output, states, gradient.double())
    close(gradient_of(states.detach().float(), scale, 1e-6, gradient).double(), expected, 1e-5)


def test_what_is_no_such_norm_is_autograds() -> None:
    module = Centred().requires_grad_(False)
    assert norms_of([module]) == [module]
    (expected, gradient), (found, own) = (passed(module, torch.float32, written=written) for written in (False, True))
    assert norms._FOUND[module] is None
    assert torch.equal(found, expected)
    assert torch.equal(own, gradient)
    assert norms_of([nn.LayerNorm(8), nn.Linear(8, 8), nn.GroupNorm(2, 8), nn.Embedding(2, 2)]) == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_norm_of_torchs_without_a_bias_is_autograds(dtype: torch.dtype) -> None:
    """It has a vector of weights and an epsilon, too (ModernBERT, MPT, DBRX), and takes no fp32 in bfloat16."""
    module = nn.LayerNorm(8, bias=False).to(dtype).requires_grad_(False)
    assert norms_of([module]) == [module]
    (expected, gradient), (found, own) = (passed(module, dtype, written=written) for written in (False, True))
    assert torch.equal(found, expected)
    assert torch.equal(own, gradient)
    assert norms._FOUND[module] is None


def test_a_gradient_can_be_differentiated() -> None:
    module, found = norm("llama"), []
    states = torch.randn(2, 8, requires_grad=True)
    for made in (module(states), normed(module, module.forward, states)):
        (first,) = torch.autograd.grad(made.square().sum(), states, create_graph=True)
        found.append(torch.autograd.grad(first.square().sum(), states)[0])
    close(found[1], found[0], 1e-4)


def test_of_few_states_the_chain_is_the_models_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(norms, "_LEAST", 49)
    module, states = norm("llama"), torch.randn(2, 3, 8, requires_grad=True)
    assert type(normed(module, module.forward, states).grad_fn).__name__ != "_WrittenBackward"
    assert type(normed(module, module.forward, torch.cat([states] * 2)).grad_fn).__name__ == "_WrittenBackward"


def test_hooks_hear_the_norm() -> None:
    module, heard = norm("llama"), list[str]()
    module.register_full_backward_hook(lambda *_: heard.append("backward"))
    states = torch.randn(2, 8, requires_grad=True)
    normed(module, module.__call__, states).sum().backward()
    assert heard == ["backward"]


@pytest.mark.parametrize(
    ("family", "method"),
    [("llama", "capt"), ("qwen3", "p_tuning_v2"), ("gemma3", "spt"), ("gemma3", "prompt_tuning"), ("t5", "capt"),
     ("llama", "full_finetuning"), ("gemma3", "adapter")],
)  # fmt: skip
def test_a_training_step_is_the_same(family: str, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mask = torch.tensor([[1] * 6, [0, 0, 1, 1, 1, 1]])
    found, written, own = [], list[Any](), norms.written
    for allowed in (False, True):
        torch.manual_seed(0)
        with monkeypatch.context() as patch, attached(model(family), method) as prompted:
            patch.setattr(norms, "written", lambda *given: (written.append(given), own(*given))[1])
            if not allowed:
                patch.setattr(norms, "_tried", lambda *_: None)
            norms._FOUND.clear()
            logits = call(prompted, torch.cat([ids(6), ids(6) + 1]), mask).logits
            logits[:, 2:].square().mean().backward()
            found.append([one.grad for one in prompted.prompts.parameters()])
            assert bool(written) == (allowed and method != "full_finetuning")
    norms._FOUND.clear()
    for expected, one in zip(*found, strict=True):
        assert (one is None) == (expected is None)
        if one is not None:
            close(one, expected, 1e-5)


def test_checkpoints_recompute_norms() -> None:
    found = []
    for recompute in (False, True):
        with attached(copy.deepcopy(model("llama")), "capt") as prompted:
            prompted.train()
            if recompute:
                prompted.activation_checkpointing_enable()
            call(prompted, ids(6)).logits.square().mean().backward()
            found.append(torch.cat([one.grad.flatten() for one in prompted.prompts.parameters()]))
    close(*found)
