"""LPT equals its generators written down row by row, with torch's own adaptive pooling."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool1d, adaptive_max_pool1d

from softprompt.attached.attach import attach, build
from softprompt.errors import SoftPromptError
from softprompt.methods import LPT
from softprompt.methods.parts.generators import adaptive_average, adaptive_max, sentence

from ..shared.by_hand import ByHand
from ..shared.models import HIDDEN, LAYERS, ids, model, padded, tokenizer
from ..shared.prompts import TARGET, attached, close, every_family, graded, logits, tiny

EXAMPLES = {
    "lpt": {"method": "lpt", "num_virtual_tokens": 2, "bottleneck": 8, "dropout": 0.0},
    "lpt_average": {"method": "lpt", "num_virtual_tokens": 2, "bottleneck": 8, "dropout": 0.0, "generator": "appg"},
    "lpt_max": {"method": "lpt", "num_virtual_tokens": 2, "bottleneck": 8, "dropout": 0.0, "generator": "mppg"},
    "lpt_table": {"method": "lpt", "num_virtual_tokens": 2, "generator": "none", "init_std": 0.5},
}

ROWS = [ids(7, 1), ids(2, 2), ids(5, 3)]
POOLS = {"appg": adaptive_avg_pool1d, "mppg": adaptive_max_pool1d}


def generated(producer: Any, kind: str, text: Tensor, family: str) -> Tensor:
    """P of one row's states `(n, H)`, as the official code makes it: `(k, H)`."""
    net = producer.generator
    down = text @ net.down.weight.T + net.down.bias
    if kind == "npg":
        token = down[0] if family == "bert" else down[-1]
        return (net.up.weight @ token.clamp(min=0) + net.up.bias).view(producer.count, -1)
    pooled = POOLS[kind](down.T[None], producer.count)[0].T
    return pooled.clamp(min=0) @ net.up.weight.T + net.up.bias


@pytest.mark.parametrize("family", ["t5", "llama", "bert"])
@pytest.mark.parametrize("kind", ["npg", "appg", "mppg", "none"])
@pytest.mark.parametrize("at", [0, 2])
def test_the_equations(family: str, kind: str, at: int) -> None:
    """Three slots, a row of two tokens among them, padding on either side."""
    method = LPT(num_virtual_tokens=3, generator=kind, layer=at, bottleneck=6, init_std=0.5)
    with attached(model(family), method) as prompted, torch.no_grad():
        producer = prompted.prompts[0]
        found = {side: logits(prompted, *padded(ROWS, side)) for side in ("left", "right")}

    def rule(layer: int, before: Tensor | None, text: Tensor, mask: Tensor) -> Tensor | None:
        if layer != at:
            return None
        if kind == "none":
            return producer.table.expand(len(text), -1, -1)
        return torch.stack([generated(producer, kind, t[m.bool()], family) for t, m in zip(text, mask, strict=True)])

    given, mask = padded(ROWS, "right")
    decoder_ids = TARGET.expand(len(ROWS), -1) if family == "t5" else None
    with torch.no_grad():
        derived = ByHand(model(family), given, mask, 3, decoder_ids).logits(rule)
    for row, seen, left, right in zip(derived, mask, found["left"], found["right"], strict=True):
        expected = row if family == "t5" else row[seen.bool()]
        close(right, expected, 1e-5)
        close(left, expected, 1e-5)


@pytest.mark.parametrize("length", range(1, 9))
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_pooling_is_torchs_own_over_the_text_alone(length: int, count: int) -> None:
    states = torch.randn(1, 12, 4)
    chosen = torch.randperm(12)[:length].sort().values
    text = torch.zeros(1, 12, dtype=torch.bool).index_fill(1, chosen, True)
    own = states[0, chosen].T[None]
    close(adaptive_average(states, text, count)[0].T[None], adaptive_avg_pool1d(own, count), 1e-6)
    assert torch.equal(adaptive_max(states, text, count)[0].T[None], adaptive_max_pool1d(own, count))
    assert torch.equal(sentence(states, text, "first")[0], states[0, chosen[0]])
    assert torch.equal(sentence(states, text, "last")[0], states[0, chosen[-1]])
    close(sentence(states, text, "mean")[0], states[0, chosen].mean(0), 1e-6)
    wild = states.masked_fill(~text[..., None], 1e30)  # what stands elsewhere is never read
    assert torch.equal(adaptive_max(wild, text, count), adaptive_max(states, text, count))
    close(adaptive_average(wild, text, count), adaptive_average(states, text, count), 1e-6)


def test_a_row_without_text_pools_to_zero() -> None:
    states, none = torch.randn(2, 5, 4), torch.zeros(2, 5, dtype=torch.bool)
    for pooled in (adaptive_average(states, none, 3), adaptive_max(states, none, 3)):
        assert not pooled.any()
    assert not sentence(states, none, "last").any()


@every_family
def test_nothing_below_the_layer_takes_part(family: str) -> None:
    """The states below do not depend on the prompt, and no gradient is computed there."""
    with tiny(family, LPT(num_virtual_tokens=2, layer=2)) as prompted:
        assert graded(prompted) == [False, False, True]


@every_family
def test_scalars(family: str) -> None:
    d, m, k = HIDDEN, 16, 3
    expected = {"npg": d * m + m + k * d * (m + 1), "appg": 2 * d * m + m + d, "mppg": 2 * d * m + m + d, "none": k * d}
    for kind, scalars in expected.items():
        made = build(model(family), tokenizer(), LPT(num_virtual_tokens=k, bottleneck=m, generator=kind))
        assert sum(value.numel() for value in made.stored().values()) == scalars
        assert made.hidden_layers == {LAYERS // 2}


def test_the_prompt_is_fixed_when_the_text_was_read() -> None:
    with tiny("llama", LPT(num_virtual_tokens=2, generator="appg")) as prompted, torch.no_grad():
        shorter, longer = ids(5), torch.cat([ids(5), ids(4, 9)[:, 1:]], dim=1)
        asked = torch.arange(longer.shape[1])[None] < 5
        close(prompted(input_ids=longer, conditioning_mask=asked).logits[:, :5], prompted(input_ids=shorter).logits)


def test_a_layer_that_is_not_there() -> None:
    with pytest.raises(SoftPromptError, match="layers 0 to 2, but layer=3"):
        attach(model("llama"), tokenizer(), LPT(layer=3))
