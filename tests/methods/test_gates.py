"""The gate forms: forward value and gradient equal the closed forms."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from softprompt.methods.parts.gates import Gates, concrete, ratio, straight_through

from ..prompts import close

G = torch.tensor([-2.0, -0.1, 0.0, 0.3, 1.7])
A = torch.sigmoid(G)
DRAWN = torch.tensor([0.05, 0.9, 0.2, 0.7, 0.4])


def value_and_gradient(form: object, *rest: object) -> tuple[Tensor, Tensor]:
    logits = G.clone().requires_grad_()
    values = form(logits, *rest)
    values.sum().backward()
    return values.detach(), logits.grad


def test_ratio() -> None:
    values, gradient = value_and_gradient(ratio)
    assert torch.equal(values, torch.ones(5))
    close(gradient, 1 - A, 1e-6)


@pytest.mark.parametrize("drawn", [None, DRAWN])
def test_straight_through(drawn: Tensor | None) -> None:
    values, gradient = value_and_gradient(straight_through, drawn)
    expected = (A >= 0.5) if drawn is None else (drawn < A)
    assert torch.equal(values, expected.float())
    close(gradient, A * (1 - A), 1e-6)


@pytest.mark.parametrize("temperature", [0.3, 1.0])
@pytest.mark.parametrize("drawn", [None, DRAWN])
def test_concrete(drawn: Tensor | None, temperature: float) -> None:
    values, gradient = value_and_gradient(concrete, drawn, temperature)
    noise = 0.0 if drawn is None else torch.log(drawn) - torch.log(1 - drawn)
    soft = torch.sigmoid((G + noise) / temperature)
    assert torch.equal(values, (soft >= 0.5).float())
    close(gradient, soft * (1 - soft) / temperature, 1e-6)


@pytest.mark.parametrize("form", ["straight_through", "concrete"])
def test_drawn_gates_open_as_often_as_they_say(form: str) -> None:
    gates = Gates(4, form)
    with torch.no_grad():
        gates.logits.copy_(torch.tensor([-2.0, 0.0, 0.5, 3.0]))
        generator, total = torch.Generator().manual_seed(1), torch.zeros(4)
        for _ in range(4000):
            gates.draw(generator)
            values = gates.values()
            assert set(values.tolist()) <= {0.0, 1.0}
            assert torch.equal(values, gates.values())  # the same noise until it is drawn again
            total += values
    assert (total / 4000 - gates.probabilities()).abs().max() < 0.03


def test_what_is_kept() -> None:
    gates = Gates(4)
    with torch.no_grad():
        gates.logits.copy_(torch.tensor([0.5, -0.1, 2.0, -3.0]))
    assert gates.kept() == (0, 2)
    assert gates.kept(1) == (2,)
    assert gates.kept(3) == (0, 1, 2)
    gates.eval()
    assert gates.values().tolist() == [1.0, 0.0, 1.0, 0.0]
    assert gates.values(3).tolist() == [1.0, 1.0, 1.0, 0.0]
    with torch.no_grad():
        gates.logits.copy_(torch.tensor([-0.5, -0.1, -2.0, -3.0]))
    assert gates.kept() == (1,)
    assert Gates(3).kept(2) == (0, 1)  # ties go to the lower layers
