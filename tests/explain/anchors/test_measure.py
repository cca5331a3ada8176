"""The numbers of attention: by hand, from transformers' own maps, and whoever shares the batch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from softprompt.explain.anchors.columns import Structural
from softprompt.explain.anchors.looking import look
from softprompt.explain.anchors.measure import KEYS, Columns, Meter, Sequences, numbers
from softprompt.explain.anchors.reading import seen_with

from ...shared.anchored import maps_of, prompt, rows
from ...shared.prompts import fails

RULE = Structural()


def test_a_tiny_example_by_hand() -> None:
    """A slot, [CLS], a word and a full stop, which is structural, then padding that everybody is hidden from."""
    weights = torch.tensor([
        [0.4, 0.3, 0.2, 0.1, 0.0],
        [0.1, 0.7, 0.1, 0.1, 0.0],
        [0.2, 0.5, 0.2, 0.1, 0.0],
        [0.3, 0.1, 0.3, 0.3, 0.0],
        [0.2, 0.2, 0.2, 0.4, 0.0],
    ])[None, None]  # fmt: skip
    scores = torch.arange(25.0).view(1, 1, 5, 5)
    scores[..., 4] = -torch.inf
    slot, structural, first, text = (
        torch.tensor([[bool(int(one)) for one in marks]]) for marks in ("10000", "00010", "01000", "01110")
    )
    side = Columns(slot, structural, first, text)
    found = dict(zip(KEYS, numbers(weights, scores, side, side, own=True)[0, 0].unbind(1), strict=True))

    def told(target: str, source: int) -> list[float]:
        return [round(one, 4) for one in found[target][source].tolist()]

    assert told("slot", 0) == [0.2, 0.25, 10.0]  # (0.1 + 0.2 + 0.3) / 3; a quarter of what is seen; (5 + 10 + 15) / 3
    assert told("structural", 0) == [0.1667, 0.25, 13.0]
    assert told("first", 0) == [0.4333, 0.25, 11.0]
    assert told("text", 0) == [0.8, 0.75, 12.0]
    assert told("text", 1) == [0.6, 0.75, 2.0]
    assert told("itself", 1) == [0.4, 0.25, 0.0]
    assert found["slot"][1].isnan().all()  # there is no other slot
    assert found["itself"][0].isnan().all()


def test_of_several_slots_the_others_are_all_but_itself() -> None:
    weights = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.2, 0.2, 0.6]])[None, None]
    slot, text = torch.tensor([[True, True, False]]), torch.tensor([[False, False, True]])
    side = Columns(slot, torch.zeros_like(slot), text, text)
    found = numbers(weights, weights.log(), side, side, own=True)[0, 0]
    assert found[1, KEYS.index("slot"), 0].item() == pytest.approx((0.3 + 0.1) / 2)
    assert found[1, KEYS.index("slot"), 2].item() == pytest.approx((torch.tensor([0.3, 0.1]).log().mean()).item())
    assert found[1, KEYS.index("itself"), 0].item() == pytest.approx((0.5 + 0.6) / 2)


@pytest.mark.parametrize("family", ["bert", "t5", "gemma3"])
@pytest.mark.parametrize(("name", "options"), [("capt", {}), ("p_tuning_v2", {"num_virtual_tokens": 2})])
def test_shares_are_sums_of_the_maps_that_transformers_gives(family: str, name: str, options: dict[str, Any]) -> None:
    body, cross = maps_of(family, name, **options)
    own = prompt(family, name, **options)
    found = seen_with(own, (own.producer, own.asked()[1]), rows()[:1], RULE)
    count = options.get("num_virtual_tokens", 1)
    asks = count if name == "capt" else 0  # a prefix asks nothing
    weight = found["body"].weight[0]
    expected = body[:, :, asks:, :count].sum(-1).mean(-1)
    torch.testing.assert_close(weight[:, :, 0, KEYS.index("slot")], expected, atol=1e-5, rtol=1e-5)
    first = body[:, :, asks:, count].mean(-1)
    torch.testing.assert_close(weight[:, :, 0, KEYS.index("first")], first, atol=1e-5, rtol=1e-5)
    if name == "capt":
        torch.testing.assert_close(weight[:, :, 1, KEYS.index("itself")], body[:, :, 0, 0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(weight[:, :, 1, KEYS.index("text")], body[:, :, 0, 1:].sum(-1), atol=1e-5, rtol=1e-5)
    if family == "t5":
        across = found["cross"].weight[0, :, :, 0, KEYS.index("slot")]
        visible = cross[:, :, :, :count].sum(-1).mean(-1)
        assert across.isnan().all() if name != "capt" else torch.allclose(across, visible, atol=1e-5)


@pytest.mark.parametrize(
    ("family", "name"), [("bert", "capt"), ("llama", "prompt_tuning"), ("gemma3", "p_tuning_v2"), ("t5", "deep_prompt")]
)
def test_a_row_counts_the_same_in_any_batch(family: str, name: str) -> None:
    """Padding has no part, and no row has one in another."""
    own = prompt(family, name, num_virtual_tokens=2)
    together = seen_with(own, (own.producer, own.asked()[1]), rows(), RULE, batch_size=4)["body"]
    alone = seen_with(own, (own.producer, own.asked()[1]), rows(), RULE, batch_size=1)["body"]
    for measure in ("weight", "uniform", "score"):
        one, other = getattr(together, measure), getattr(alone, measure)
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5, equal_nan=True)
    shares = together.weight[..., 0, [KEYS.index("slot"), KEYS.index("text")]].sum(-1)
    torch.testing.assert_close(shares, torch.ones_like(shares), atol=1e-5, rtol=0)


def test_slots_may_be_some_of_the_virtual_tokens() -> None:
    own = prompt("bert", "deep_prompt", num_virtual_tokens=3)
    parts = [
        seen_with(own, (own.producer, own.asked()[1]), rows(), RULE, slots=ranks)["body"].weight
        for ranks in (None, range(1), range(1, 3))
    ]
    whole, one, two = (part[..., 0, KEYS.index("slot")] for part in parts)
    torch.testing.assert_close(one + two, whole)


class Short:
    """Knows of one sequence alone."""

    def __init__(self) -> None:
        self.meter = Meter(prompt("bert").backbone.anatomy, 2)

    def begin(self, sequences: Sequences) -> None:
        self.meter.begin(replace(sequences, structural=sequences.structural[:1]))

    def __call__(self, module: nn.Module, weights: Tensor, scores: Tensor) -> None:
        self.meter(module, weights, scores)


def test_rows_that_run_apart_are_refused_together() -> None:
    own = prompt("bert")
    with fails("look at one row at a time"):
        look(own.backbone, (own.producer, own.asked()[1]), rows()[:2], Short(), RULE)
