"""GELU's tanh form written out: its equation, the values and gradients of models, and where their own stays."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.models.bloom.modeling_bloom import BloomGelu

from softprompt.sites import activations
from softprompt.sites.activations import activated, activations_of

from ..shared.models import ids, model
from ..shared.prompts import attached, call, close

KINDS: dict[str, Any] = {
    **{
        name: lambda name=name: ACT2FN[name] for name in ("gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_accurate")
    },
    "bloom": BloomGelu,
}
OTHERS = ("gelu", "gelu_10", "quick_gelu")


@pytest.fixture(autouse=True)
def however_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests have few states, in several pieces, the last of them a smaller one."""
    monkeypatch.setattr(activations, "_LEAST", 0)
    monkeypatch.setattr(activations, "_PIECE", 7)


def made(module: nn.Module, states: Tensor) -> Any:
    return activated(module, None, module.forward, (states,), {})


def passed(module: nn.Module, dtype: torch.dtype, *, written: bool) -> tuple[Tensor, Tensor]:
    """What the activation gives, and the gradient of its argument."""
    generator = torch.Generator().manual_seed(5)
    states, gradient = (4 * torch.randn(2, 3, 8, generator=generator) for _ in range(2))
    states = states.to(dtype).requires_grad_()
    output = made(module, states) if written else module(states)
    assert (type(output.grad_fn).__name__ == "_WrittenBackward") == written
    return output.detach(), torch.autograd.grad(output, states, gradient.to(dtype))[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_and_gradients_are_the_models(kind: str, dtype: torch.dtype) -> None:
    module = KINDS[kind]()
    assert activations_of([nn.Linear(2, 2), module]) == [module]
    (expected, gradient), (found, own) = (passed(module, dtype, written=written) for written in (False, True))
    assert found.dtype == own.dtype == dtype
    near = 1e-6 if dtype == torch.float32 else 2e-2
    for one, other in ((found, expected), (own, gradient)):
        close(one.float() / other.float().abs().max(), other.float() / other.float().abs().max(), near)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_equation_in_float64(dtype: torch.dtype) -> None:
    states = torch.tensor([-1e30, -50.0, -6.0, -1.0, -1e-3, 0.0, 1e-3, 1.0, 6.0, 50.0, 1e30], dtype=dtype)
    x = states.double()
    expected = x / 2 * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)))
    found = activations.written(states)
    assert torch.allclose(found.double(), expected, rtol=1e-6 if dtype == torch.float32 else 4e-3, atol=1e-6)


@pytest.mark.parametrize("kind", OTHERS)
def test_another_function_stays_the_models_own(kind: str) -> None:
    module, states = ACT2FN[kind], torch.randn(2, 8)
    assert torch.equal(made(module, states), module(states))
    assert not activations._FOUND.get(module, False)


class PairGelu(nn.Module):
    """A GELU by name, of numbers that come in pairs."""

    def forward(self, states: Tensor) -> Tensor:
        return nn.functional.gelu(states.view(*states.shape[:-1], -1, 2), approximate="tanh").flatten(-2)


def test_one_that_wants_other_numbers_stays_the_models_own() -> None:
    module, states = PairGelu(), torch.randn(2, 8)
    assert torch.equal(made(module, states), module(states))
    assert not activations._FOUND[module]


def test_what_listens_or_is_no_plain_tensor_has_the_models_own(monkeypatch: pytest.MonkeyPatch) -> None:
    module, states, written = ACT2FN["gelu_new"], torch.randn(4, 8), list[Tensor]()
    monkeypatch.setattr(activations, "written", written.append)
    heard = list[str]()
    handle = module.register_forward_hook(lambda *_: heard.append("forward"))
    activated(module, None, module.__call__, (states,), {})
    handle.remove()
    for given in (states.t(), states.double(), states.half()):
        assert torch.equal(made(module, given), module(given))
    assert torch.equal(torch.func.vmap(lambda one: made(module, one))(states), module(states))
    assert activated(module, None, lambda **named: named, (), {"input": states}) == {"input": states}
    monkeypatch.setattr(activations, "_LEAST", 33)
    assert torch.equal(made(module, states), module(states))
    assert heard == ["forward"]
    assert not written


def test_a_gradient_can_be_differentiated() -> None:
    module, found = ACT2FN["gelu_new"], []
    states = torch.randn(2, 8, requires_grad=True)
    for output in (module(states), made(module, states)):
        (first,) = torch.autograd.grad(output.square().sum(), states, create_graph=True)
        found.append(torch.autograd.grad(first.square().sum(), states)[0])
    close(found[1], found[0], 1e-4)


@pytest.mark.parametrize(
    ("family", "method"),
    [("gpt2", "capt"), ("gemma3", "prompt_tuning"), ("gemma3", "lora"), ("gpt2", "full_finetuning")],
)
def test_a_training_step_is_the_same(family: str, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mask = torch.tensor([[1] * 6, [0, 0, 1, 1, 1, 1]])
    found, written, own = [], list[Tensor](), activations.written
    for allowed in (False, True):
        torch.manual_seed(0)
        with monkeypatch.context() as patch, attached(model(family), method) as prompted:
            patch.setattr(activations, "written", lambda states: (written.append(states), own(states))[1])
            if not allowed:
                patch.setattr(activations, "_is_tanh_gelu", lambda _: False)
            logits = call(prompted, torch.cat([ids(6), ids(6) + 1]), mask).logits
            logits[:, 2:].square().mean().backward()
            found.append([logits, *(one.grad for one in prompted.parameters() if one.grad is not None)])
            assert bool(written) == allowed
    assert len(found[0]) > 1
    for expected, one in zip(*found, strict=True):
        close(one, expected, 1e-5)
