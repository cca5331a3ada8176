"""Adafactor as T5X runs it on a prompt: Lester et al.'s, step for step."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from transformers.optimization import Adafactor

from softprompt.training.fitting.t5x_adafactor import t5x_adafactor

from ...shared.prompts import METHODS
from ...shared.runs import run

RATE, DECAY = 0.3, 1e-5


def gradients(shape: tuple[int, ...], steps: int) -> list[torch.Tensor]:
    chance = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=chance) * 10 ** (step % 3 - 1) for step in range(steps)]


def test_it_is_adafactor_without_factoring_written_out() -> None:
    """V of every scalar, beta2 = 1 - t^-0.8, an update of at most rms 1, and a decay that the rate does not scale."""
    start = torch.randn(5, 7, generator=torch.Generator().manual_seed(1))
    trained = torch.nn.Parameter(start.clone())
    optimizer = t5x_adafactor([{"params": [trained], "lr": RATE, "weight_decay": 0.01}])
    plain, second = start.clone(), torch.zeros_like(start)
    for step, gradient in enumerate(gradients((5, 7), 6), start=1):
        trained.grad = gradient.clone()
        optimizer.step()
        beta = 1 - step**-0.8
        second = beta * second + (1 - beta) * (gradient**2 + 1e-30)
        update = gradient / second.sqrt()
        update = update / max(1.0, float(update.square().mean().sqrt()))
        plain = (1 - 0.01) * plain - RATE * update
        torch.testing.assert_close(trained.detach(), plain)
    state = optimizer.state[trained]
    torch.testing.assert_close(state["exp_avg_sq"], second)
    assert "exp_avg_sq_row" not in state


def test_of_a_row_it_is_transformers_own_which_factors_no_row() -> None:
    ours, theirs = (torch.nn.Parameter(torch.ones(9)) for _ in range(2))
    settings = {"relative_step": False, "scale_parameter": False, "warmup_init": False}
    optimizers = (
        t5x_adafactor([{"params": [ours], "lr": RATE, "weight_decay": RATE * DECAY}]),
        Adafactor([theirs], lr=RATE, weight_decay=DECAY, **settings),
    )
    for gradient in gradients((9,), 5):
        for parameter, optimizer in zip((ours, theirs), optimizers, strict=True):
            parameter.grad = gradient.clone()
            optimizer.step()
    torch.testing.assert_close(ours.detach(), theirs.detach())


def test_a_table_moves_otherwise_than_with_factoring() -> None:
    ours, theirs = (torch.nn.Parameter(torch.zeros(4, 6)) for _ in range(2))
    optimizers = (
        t5x_adafactor([{"params": [ours], "lr": RATE, "weight_decay": 0.0}]),
        Adafactor([theirs], lr=RATE, relative_step=False, scale_parameter=False, warmup_init=False),
    )
    for gradient in gradients((4, 6), 2):
        for parameter, optimizer in zip((ours, theirs), optimizers, strict=True):
            parameter.grad = gradient.clone()
            optimizer.step()
    assert not torch.allclose(ours, theirs, atol=1e-3)


def test_what_has_no_gradient_stays_as_it_is() -> None:
    parameter = torch.nn.Parameter(torch.ones(3))
    t5x_adafactor([{"params": [parameter], "lr": RATE, "weight_decay": 0.5}]).step()
    assert parameter.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("optimizer", ["adafactor", "adafactor_t5x"])
def test_a_run_takes_it_by_its_name(tmp_path: Path, optimizer: str) -> None:
    options = {"optimizer": optimizer, "learning_rate": 0.01, "weight_decay": 0.0, "max_grad_norm": 0.0}
    done = run(tmp_path, "t5", METHODS["prompt_tuning"], max_steps=2, evaluations=1, **options)
    assert done.metrics["options"]["training"]["optimizer"] == optimizer
    assert math.isfinite(done.metrics["test"]["loss"])
