"""VFPT: rows of which the first pass through a Fourier transform, as numpy has it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from softprompt.attached.attach import attach, build
from softprompt.errors import SoftPromptError
from softprompt.methods import VFPT, DeepPrompt, method

from ..shared.by_hand import ByHand, neutral
from ..shared.models import HIDDEN, LAYERS, ids, model, padded, tokenizer
from ..shared.prompts import TARGET, attached, close, every_family, logits, loss_of, tiny

EXAMPLES = {
    "vfpt": {"method": "vfpt", "num_virtual_tokens": 4},
    "vfpt_shallow": {"method": "vfpt", "num_virtual_tokens": 3, "fraction": 1.0, "axes": "features", "select": "input"},
}

ROWS = [ids(7, 1), ids(4, 2)]
MADE = {
    "both": lambda rows, norm: np.fft.fft(np.fft.fft(rows, axis=-1, norm=norm), axis=-2, norm=norm).real,
    "tokens": lambda rows, norm: np.fft.fft(rows, axis=0, norm=norm).real,
    "features": lambda rows, norm: np.fft.fft(rows, axis=1, norm=norm).real,
}


def by_numpy(table: Tensor, m: int, axes: str, norm: str) -> Tensor:
    """What stands at the slots of one layer, `(k, H)`, of its trained rows."""
    rows = table.detach().double().numpy()
    made = MADE[axes](rows[:m], norm) if m else rows[:0]
    return torch.from_numpy(np.concatenate([made, rows[m:]])).float()


@pytest.mark.parametrize("family", ["t5", "llama", "bert"])
@pytest.mark.parametrize(
    ("options", "m"),
    [
        ({}, 2),
        ({"fraction": 0.8, "axes": "tokens"}, 4),
        ({"fraction": 1.0, "axes": "features", "norm": "backward"}, 5),
        ({"fraction": 0.7, "norm": "backward", "select": "input"}, 3),
        ({"fraction": 0.6, "select": "1,2"}, 3),
    ],
)
def test_the_equation(family: str, options: dict[str, Any], m: int) -> None:
    prompt = VFPT(num_virtual_tokens=5, init="normal", init_std=0.1, **options)
    layers = {"all": [0, 1, 2], "input": [0], "1,2": [1, 2]}[prompt.select]
    with attached(model(family), prompt) as prompted, torch.no_grad():
        used = [by_numpy(rows, m, prompt.axes, prompt.norm) for rows in prompted.prompts[0].table]
        found = logits(prompted, *padded(ROWS, "left"))

    def rule(layer: int, *_: Any) -> Tensor | None:
        return used[layers.index(layer)].expand(2, -1, -1) if layer in layers else None

    given, mask = padded(ROWS, "right")
    decoder_ids = TARGET.expand(2, -1) if family == "t5" else None
    with torch.no_grad():
        derived = ByHand(model(family), given, mask, 5, decoder_ids, start=neutral(model(family))).logits(rule)
    for row, seen, one in zip(derived, mask, found, strict=True):
        close(one, row if family == "t5" else row[seen.bool()], 1e-5)


@every_family
def test_scalars(family: str) -> None:
    """The transform adds none."""
    with tiny(family, VFPT(num_virtual_tokens=4)) as prompted:
        assert sum(p.numel() for p in prompted.parameters() if p.requires_grad) == LAYERS * 4 * HIDDEN
        assert sum(t.numel() for t in prompted.prompts[0].stored().values()) == LAYERS * 4 * HIDDEN


@pytest.mark.parametrize("axes", ["both", "tokens", "features"])
@pytest.mark.parametrize("norm", ["ortho", "backward"])
def test_training_starts_at_what_the_transform_can_make_of_word_states(axes: str, norm: str) -> None:
    """The transformed rows start at the even part of deep prompts' rows, the others at these themselves."""
    words = build(model("llama"), tokenizer(), DeepPrompt(num_virtual_tokens=7), seed=5).table
    made = build(model("llama"), tokenizer(), VFPT(num_virtual_tokens=7, axes=axes, norm=norm), seed=5).stored()
    u = [0, 2, 1] if axes != "features" else [0, 1, 2]  # -u modulo m = 3
    v = [-v % HIDDEN for v in range(HIDDEN)] if axes != "tokens" else list(range(HIDDEN))
    even = (words[:, :3] + words[:, u][:, :, v]) / 2
    close(made["table"], torch.cat([even, words[:, 3:]], dim=1), 1e-5)


def test_a_step_moves_both_kinds_of_rows_alike() -> None:
    """With norm=ortho the transform keeps lengths, so that one rate is right for both; a plain sum makes them long."""
    moved = {}
    for norm in ("ortho", "backward"):
        made = build(model("llama"), tokenizer(), VFPT(num_virtual_tokens=8, norm=norm), seed=1)
        before = made.stored()["table"]
        with torch.no_grad():
            made.table.add_(torch.randn(made.table.shape, generator=torch.Generator().manual_seed(3)))
        change = made.stored()["table"] - before
        moved[norm] = float(change[:, :4].norm() / change[:, 4:].norm())
    assert moved["ortho"] == pytest.approx(0.5**0.5, abs=0.1)  # the even half of a random change
    assert moved["backward"] == pytest.approx((4 * HIDDEN / 2) ** 0.5, rel=0.1)


@torch.no_grad()
def test_without_a_fraction_it_is_a_deep_prompt() -> None:
    found = []
    for one in (DeepPrompt(num_virtual_tokens=3), VFPT(num_virtual_tokens=3, fraction=0)):
        with attach(model("bert"), tokenizer(), build(model("bert"), tokenizer(), one, seed=2)) as prompted:
            found.append(logits(prompted, ROWS[0])[0])
    assert torch.equal(*found)


@torch.no_grad()
def test_the_stored_rows_give_the_same_bits() -> None:
    prompt = VFPT(num_virtual_tokens=5)
    made = build(model("llama"), tokenizer(), prompt, seed=4)
    blank = build(model("llama"), tokenizer(), prompt, blank=True)
    blank.load_stored(made.stored())
    found = []
    for one in (made, blank):
        with attach(model("llama"), tokenizer(), one) as prompted:
            found.append(logits(prompted, ROWS[0])[0])
    assert torch.equal(*found)


def test_every_row_takes_a_gradient() -> None:
    with tiny("llama", VFPT(num_virtual_tokens=4)) as prompted:
        loss_of(prompted, ROWS[0]).backward()
        assert bool(prompted.prompts[0].table.grad.any(-1).all())


def test_less_than_one_row_is_refused() -> None:
    with pytest.raises(SoftPromptError, match=r"fraction 0\.5 of 1 virtual tokens is not one row: raise fraction"):
        method("vfpt", num_virtual_tokens=1)


@pytest.mark.parametrize(
    ("fraction", "count", "rows"), [(0.29, 100, 29), (0.57, 100, 57), (0.3, 10, 3), (0.299, 10, 2)]
)
def test_a_fraction_is_of_decimal_numbers(fraction: float, count: int, rows: int) -> None:
    assert VFPT(fraction=fraction, num_virtual_tokens=count).transformed == rows
