"""Padding that moves a row is found by a trial, which leaves the model as it was and is made once."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from softprompt.attached.attach import attach
from softprompt.backbones.anatomy import read_anatomy
from softprompt.methods import PromptTuning
from softprompt.sites import padding
from softprompt.sites.hooks import Hooks

from ..attacks.attaching import state
from ..shared.models import FAMILIES, model, tokenizer
from ..shared.unusual import unusual

PROMPT = PromptTuning(num_virtual_tokens=2)
BOTH = {"left", "right"}
MOVED = {
    "convbert": BOTH,  # a convolution over words
    "mobilebert": BOTH,  # embeddings of three words at once
    "nystromformer": BOTH,  # landmarks are means of columns
    "roformer": {"left"},  # columns are positions
    "led": {"left"},
    "big_bird": BOTH,  # blocks lie by the columns of a batch
    "longformer": set(),
    "squeezebert": set(),
    "splinter": set(),
}


@pytest.mark.parametrize("family", MOVED)
def test_padding_is_seen_to_move_rows(family: str) -> None:
    with attach(unusual(family), tokenizer(), PROMPT) as prompted:
        assert prompted.moving == MOVED[family]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", ["convbert", "nystromformer", "led", "longformer"])
def test_half_precision_shows_it_as_well(family: str, dtype: torch.dtype) -> None:
    with attach(copy.deepcopy(unusual(family)).to(dtype), tokenizer(), PROMPT) as prompted:
        assert prompted.moving == MOVED[family]


# T5's first layer has the bias of all, ModernBERT's attention takes turns: there the whole body runs.
@pytest.mark.parametrize("family", [one for one in FAMILIES if one not in ("t5", "mt5", "modernbert")])
def test_most_families_are_right_and_asked_for_one_layer_once(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = copy.deepcopy(model(family))
    ran = []
    with attach(backbone, tokenizer(), PROMPT) as prompted:
        assert not prompted.moving
        monkeypatch.setattr(padding._FOUND, "kept", type(padding._FOUND.kept)())
        for place, layer in enumerate(dict.fromkeys(prompted.anatomy.layers)):
            layer.register_forward_hook(lambda *_, place=place: ran.append(place))
        for _ in range(2):
            assert not padding.moving_sides(prompted.anatomy, Hooks(prompted.anatomy).around)
        assert ran == [0, 0]  # a row alone, and the same with padding


def test_a_trial_leaves_no_trace() -> None:
    backbone: Any = copy.deepcopy(unusual("convbert")).train()
    before, drawn = state(backbone), torch.get_rng_state()
    with attach(backbone, tokenizer(), PROMPT) as prompted:
        padding._FOUND.kept.pop(prompted.anatomy.body)
        assert padding.moving_sides(prompted.anatomy, Hooks(prompted.anatomy).around) == BOTH
    assert state(backbone) == before
    assert torch.equal(torch.get_rng_state(), drawn)


def test_a_body_without_weights_is_not_tried() -> None:
    with torch.device("meta"):
        weightless = AutoModelForCausalLM.from_config(model("llama").config)
    assert padding.moving_sides(read_anatomy(weightless), {}) == frozenset()
