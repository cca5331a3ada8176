"""`anchor`: runs of one kind are averaged, deviations are those of rows and runs, and what has no slots is refused."""

from __future__ import annotations

import math
from statistics import mean, stdev

import pytest

import softprompt as sp
from softprompt.explain.anchors.columns import Structural
from softprompt.explain.anchors.measure import KEYS
from softprompt.explain.anchors.reading import seen_with
from softprompt.explain.anchors.table import COLUMNS, flow_rows, layer_rows, notes, told
from softprompt.methods import method

from ...shared.anchored import prompt, rows, task
from ...shared.models import model, tokenizer
from ...shared.prompts import fails


def test_means_and_deviations_over_rows_and_seeds() -> None:
    runs = [prompt("bert", "capt", seed=seed) for seed in (0, 1)]
    (kind,) = sp.anchor(runs, rows()).kinds
    flow = kind.flow("text", "slot")
    assert flow is not None
    each = []
    for one in runs:
        found = seen_with(one, (one.producer, one.asked()[1]), rows(), Structural())["body"].weight
        each.append(found[..., 0, KEYS.index("slot")])
    by_rows = [found.mean((1, 2)).tolist() for found in each]
    assert flow.weight == pytest.approx(mean(map(mean, by_rows)))
    assert flow.rows == pytest.approx(mean(map(stdev, by_rows)))
    assert flow.seeds == pytest.approx(stdev(map(mean, by_rows)))
    assert list(flow.layers) == pytest.approx((sum(each) / 2).mean((0, 2)).tolist())  # type: ignore[union-attr]
    assert list(flow.heads[1]) == pytest.approx((sum(each) / 2).mean(0)[1].tolist())  # type: ignore[union-attr]
    assert (kind.runs, kind.seeds, kind.name) == (2, (0, 1), "capt 1")
    assert flow.random not in (None, flow.weight)
    assert flow.removed is None
    first = kind.flow("text", "first")
    assert first is not None
    assert first.removed is not None


def test_kinds_stand_apart_and_controls_may_be_left_out() -> None:
    ticks: list[int] = []
    own = [
        prompt("llama", "capt"),
        prompt("llama", "deep_prompt", num_virtual_tokens=2),
        prompt("llama", "capt", seed=1),
    ]
    found = sp.anchor(own, rows(), controls=False, tick=ticks.append)
    assert [(one.name, one.runs) for one in found.kinds] == [("capt 1", 2), ("deep_prompt 2", 1)]
    assert sum(ticks) == 3 * len(rows())
    assert all(flow.random is None and flow.removed is None for kind in found.kinds for flow in kind.flows)
    # A causal model shows slots in front nothing of the text: there is no score, and the note says so.
    flow = found.kinds[0].flow("slot", "text")
    assert flow is not None
    assert (flow.weight, flow.score) == (0.0, None)
    assert notes(found.kinds, found.structural)[-1] == "a causal model shows slots in front nothing of the text"


def test_an_encoder_decoder_has_cross_attention_and_a_prefix_a_decoder() -> None:
    (kind,) = sp.anchor(prompt("t5"), rows(), controls=False).kinds
    assert {flow.place for flow in kind.flows} == {"body", "cross"}
    (kind,) = sp.anchor(prompt("bart", "prefix_tuning", num_virtual_tokens=2), rows(), controls=False).kinds
    assert kind.flow("text", "slot", "decoder") is not None
    assert kind.flow("slot", "text") is None


def test_the_table_says_what_was_seen() -> None:
    found = sp.anchor(prompt("bert", "deep_prompt", num_virtual_tokens=2), rows())
    (kind,) = found.kinds
    lines = flow_rows(kind)
    assert [line[0] for line in lines[-2:]] == ["slot to itself", "slot to other slots"]
    assert {len(line) for line in lines} == {len(COLUMNS)}
    assert lines[0][3] == "-"
    columns, layers = layer_rows(kind)
    assert len(layers) == 3
    assert {len(line) for line in layers} == {len(columns)}
    assert told(kind) == "deep_prompt 2 on custom, bert, 1 run (seeds 0)"
    assert "4 rows" in found.summary().title
    assert not any(isinstance(one, float) and math.isnan(one) for flow in kind.flows for one in flow.layers)


def test_what_has_no_slots_or_no_rows_is_refused() -> None:
    without = sp.untrained(model("bert"), tokenizer(), task(), method("lora"))
    with fails("method 'lora' has no virtual tokens, and no keys and values in front"):
        sp.anchor(without, rows())
    with fails("give prompts and rows"):
        sp.anchor(prompt("bert"), [])
