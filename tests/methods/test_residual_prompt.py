"""Residual Prompt Tuning equals P + phi(P) written out, and is a plain table once phi is dropped."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, relu

from softprompt.attached.attach import attach, build
from softprompt.methods import PromptTuning, ResidualPrompt

from ..shared.by_embeddings import FAMILIES, ROWS, agrees
from ..shared.models import ids, model, tokenizer
from ..shared.prompts import attached, close, every_family, logits, producer, tiny
from ..shared.runs import run

EXAMPLES = {
    "residual_prompt": {"method": "residual_prompt", "num_virtual_tokens": 3, "bottleneck": 16},
    "residual_prompt_separate": {
        "method": "residual_prompt",
        "num_virtual_tokens": 2,
        "bottleneck": 8,
        "shared": False,
        "layer_norm": False,
    },
}


def phi(p: dict[str, Tensor], row: Tensor, which: int, *, norm: bool) -> Tensor:
    """Linear, ReLU, Linear and the norm, from parameters by their names."""
    at = f"net.nets.{which}."
    out = relu(row @ p[at + "0.weight"].T + p[at + "0.bias"]) @ p[at + "2.weight"].T + p[at + "2.bias"]
    return layer_norm(out, out.shape[-1:], p[at + "3.weight"], p[at + "3.bias"]) if norm else out


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("norm", [True, False])
def test_the_equation(family: str, shared: bool, norm: bool) -> None:
    with attached(model(family), ResidualPrompt(num_virtual_tokens=3, shared=shared, layer_norm=norm)) as prompted:
        p = {name: value.detach() for name, value in prompted.prompts[0].named_parameters()}
        rows = torch.stack([row + phi(p, row, 0 if shared else i, norm=norm) for i, row in enumerate(p["table"])])
        agrees(prompted, family, [rows] * len(ROWS))


@pytest.mark.parametrize("norm", [True, False])
def test_a_zero_last_layer_is_prompt_tuning(norm: bool) -> None:
    with attach(model("llama"), tokenizer(), ResidualPrompt(layer_norm=norm), seed=4) as prompted, torch.no_grad():
        last: nn.Linear = prompted.prompts[0].net.nets[0][2]
        last.weight.zero_()
        last.bias.zero_()
        mine = logits(prompted, ids(6))[0]
    with attach(model("llama"), tokenizer(), PromptTuning(num_virtual_tokens=10), seed=4) as prompted, torch.no_grad():
        close(mine, logits(prompted, ids(6))[0], 1e-6)


@every_family
def test_scalars(family: str) -> None:
    """Trained k e + 2 * 800 e + 800 + e, and 2 e with the norm; stored k e."""
    for norm in (False, True):
        with tiny(family, ResidualPrompt(layer_norm=norm)) as prompted:
            e = prompted.anatomy.embedding_size
            trained = sum(p.numel() for p in prompted.parameters() if p.requires_grad)
            assert trained == 10 * e + 2 * 800 * e + 800 + e + 2 * e * norm
            assert sum(t.numel() for t in prompted.prompts[0].stored().values()) == 10 * e


@torch.no_grad()
def test_the_stored_table_gives_the_same_logits() -> None:
    method = ResidualPrompt(num_virtual_tokens=3, dropout=0.5)
    made = producer(model("llama"), method)
    blank = build(model("llama"), tokenizer(), method, blank=True)
    with attach(model("llama"), tokenizer(), made) as prompted:
        prompted.train()
        assert not torch.equal(logits(prompted, ids(6))[0], logits(prompted, ids(6))[0])  # dropout is at work
        stored = made.stored()
        prompted.eval()
        expected = logits(prompted, ids(6))[0]
    assert list(stored) == ["table"]
    blank.load_stored(stored)
    with attach(model("llama"), tokenizer(), blank) as prompted:
        close(logits(prompted, ids(6))[0], expected, 1e-6)


def test_a_rate_of_the_perceptrons_own(tmp_path: Path) -> None:
    made = producer(model("llama"), ResidualPrompt(num_virtual_tokens=2, net_rate=0.25))
    assert made.rates().keys() == {name for name, _ in made.named_parameters() if name != "table"}
    assert set(made.rates().values()) == {0.25}
    assert producer(model("llama"), ResidualPrompt(num_virtual_tokens=2)).rates() == {}
    done = run(tmp_path, "llama", ResidualPrompt(num_virtual_tokens=2, net_rate=0.25), max_steps=2)
    assert done.metrics["stored_parameters"] == 2 * 32
