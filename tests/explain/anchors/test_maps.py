"""The map of a row: transformers' own attention, averaged over what was asked, with the row's tokens beside it."""

from __future__ import annotations

import pytest
import torch

from softprompt.explain.anchors.columns import Structural
from softprompt.explain.anchors.maps import attention_map

from ...shared.anchored import maps_of, prompt, rows
from ...shared.prompts import close, fails

RULE = Structural()


@pytest.mark.parametrize("family", ["bert", "gemma3"])
@pytest.mark.parametrize("name", ["capt", "p_tuning_v2"])
def test_a_map_is_the_mean_of_transformers_maps(family: str, name: str) -> None:
    body, _ = maps_of(family, name, num_virtual_tokens=1)
    own = prompt(family, name, num_virtual_tokens=1)
    close(attention_map(own, rows()[0], RULE).weights, body.mean((0, 1)), 1e-5)
    close(attention_map(own, rows()[0], RULE, layer=1).weights, body[1].mean(0), 1e-5)
    one = attention_map(own, rows()[0], RULE, layer=2, head=3)
    close(one.weights, body[2, 3], 1e-5)
    close(one.scores.nan_to_num(nan=-1e9).softmax(-1), one.weights, 1e-5)
    assert one.averaged == "layer 2, head 3"


def test_the_tokens_and_what_they_count_as() -> None:
    found = attention_map(prompt("bert", "deep_prompt", num_virtual_tokens=2), rows()[1], RULE)
    assert [(one.text, one.kind[:2]) for one in found.asking] == [
        ("slot 1", "sl"), ("slot 2", "sl"), ("w90", "fi"), ("w93", "st"), ("w30", "te"), ("w50", "te"), ("w91", "st"),
        ("w92", "st"), ("[MASK]", "te"),
    ]  # fmt: skip
    assert found.asked == found.asking
    prefix = attention_map(prompt("llama", "p_tuning_v2", num_virtual_tokens=2), rows()[1], RULE)
    assert [one.kind for one in prefix.asked[:2]] == ["slot", "slot"]
    assert prefix.asked[2:] == prefix.asking
    assert prefix.scores[0, 3].isnan()  # the mask of a causal model
    assert prefix.as_dict()["scores"][0][3] is None  # type: ignore[index]


def test_layers_and_heads_that_are_not_there_are_refused() -> None:
    with fails("layer 3: the backbone has layers 0 to 2"):
        attention_map(prompt("bert"), rows()[0], RULE, layer=3)
    with fails("head 4: a layer has heads 0 to 3"):
        attention_map(prompt("bert"), rows()[0], RULE, head=4)
    assert torch.isfinite(attention_map(prompt("bert"), rows()[0], RULE).scores).all()
