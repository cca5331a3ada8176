"""Of a backbone that was loaded with int8 the attached model's layers multiply so, where nothing takes a gradient."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor

from softprompt.backbones import int8
from softprompt.backbones.backbone import Backbone
from softprompt.backbones.int8 import codes_of, has_int8, keep_codes, tried_int8
from softprompt.errors import SoftPromptError
from softprompt.sites import int8_products

from ..shared.models import ids, model, padded
from ..shared.prompts import attached, every_family, logits

pytestmark = pytest.mark.skipif(
    not has_int8() or not tried_int8(torch.float32), reason="no exact int8 products on this processor"
)
ROWS = [ids(7, 1), ids(4, 2), ids(5, 3)]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Layers and products of any size; what was quantised and multiplied."""
    done: list[str] = []
    monkeypatch.setattr(int8, "LEAST_WEIGHTS", 0)
    monkeypatch.setattr(int8_products, "_PRODUCTS", 0)

    def noted(name: str) -> None:
        own = getattr(int8_products, name)

        def noting(*given: Any) -> Any:
            done.append(name)
            return own(*given)

        monkeypatch.setattr(int8_products, name, noting)

    noted("row_codes")
    noted("by_int8")
    return done


def in_int8(family: str) -> Any:
    """A tiny model whose layers are kept in int8, too."""
    own = deepcopy(model(family))  # which other tests use, too
    anatomy = Backbone(own, None).anatomy
    assert keep_codes([*anatomy.layers, *anatomy.decoder_layers])
    return own


@torch.no_grad()
def answers(prompted: Any) -> Tensor:
    """Logits of padded rows."""
    return torch.cat(logits(prompted, *padded(ROWS, "right")))


@every_family
def test_answers_are_the_same_but_for_rounding(family: str, counted: list[str]) -> None:
    torch.manual_seed(0)
    with attached(model(family), "prompt_tuning") as prompted:
        expected, values = answers(prompted), prompted.state_dict()
        with attached(in_int8(family), "prompt_tuning") as other:
            other.load_state_dict(values)
            assert not counted  # trials of the backbone are run in its own type
            made = answers(other)
    assert "by_int8" in counted
    assert not torch.equal(made, expected)
    assert float((made - expected).norm() / expected.norm()) < 0.1


def test_a_tensor_that_several_layers_read_is_quantised_once(counted: list[str]) -> None:
    with attached(in_int8("llama"), "prompt_tuning") as prompted, torch.no_grad():
        logits(prompted, ROWS[0])
    # Of each layer: queries, keys and values read one tensor, gate and up another, and the two outputs one each.
    assert counted.count("by_int8") * 4 == counted.count("row_codes") * 7


def test_what_takes_a_gradient_and_the_model_itself_compute_as_ever(counted: list[str]) -> None:
    own, plain = in_int8("llama"), model("llama")
    with torch.no_grad():
        bare = plain(ROWS[0]).logits
    with attached(plain, "prompt_tuning") as prompted:
        expected, values = torch.cat(logits(prompted, ROWS[0])), prompted.state_dict()
    with attached(own, "prompt_tuning") as prompted:
        prompted.load_state_dict(values)
        assert torch.equal(torch.cat(logits(prompted, ROWS[0])), expected)
        with torch.no_grad():
            assert torch.equal(own(ROWS[0]).logits, bare)
        with pytest.raises(SoftPromptError, match="loaded with int8"):
            prompted.train()
    assert not counted


def test_a_weight_that_a_prompt_stands_in_for_is_its_own(counted: list[str]) -> None:
    with attached(in_int8("llama"), "full_finetuning") as prompted:
        answers(prompted)
    assert not counted


def test_small_products_and_the_head_are_left_as_they_are(counted: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    own = in_int8("gpt2")
    assert codes_of(own.lm_head) is None
    monkeypatch.setattr(int8_products, "_PRODUCTS", 1 << 40)
    with attached(own, "prompt_tuning") as prompted:
        answers(prompted)
    assert not counted
