"""What a prompt occupies is one value: made of plain attributes, or said by whoever wraps another's prompt."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import nn

from softprompt.attached.attach import attach
from softprompt.sites.footprint import Footprint
from softprompt.sites.producer import Producer
from softprompt.sites.wrapped import WrappedProducer

from ..shared.models import ids, model, padded, tokenizer
from ..shared.prompts import logits, producer

ROWS = [ids(7, 1), ids(4, 2), ids(5, 3)]


class Plain(Producer):
    """Written as ever: what it occupies stands in its class and its instance."""

    static = True
    shift = False

    def __init__(self) -> None:
        super().__init__()
        self.count = 2
        self.rows = nn.Parameter(torch.ones(2, 3))


def test_attributes_of_the_class_and_of_the_instance_make_it() -> None:
    made = Plain()
    assert made.footprint == Footprint(count=2, static=True, shift=False)
    made.hidden_layers, made.prefix = frozenset({1}), 3
    assert made.footprint == Footprint(count=2, static=True, shift=False, hidden_layers=frozenset({1}), prefix=3)
    assert made.joins
    assert made.footprint.joins


def test_every_part_of_it_has_an_attribute_with_the_same_value() -> None:
    assert Producer().footprint == Footprint()
    for part in fields(Footprint):
        assert getattr(Producer, part.name) == part.default


@pytest.mark.parametrize("family", ["bert", "t5", "llama"])
@pytest.mark.parametrize("name", ["prompt_tuning", "capt", "deep_prompt", "prefix_tuning", "p_tuning_v2", "idpg"])
def test_what_a_wrapper_says_is_all_that_is_asked(name: str, family: str) -> None:
    own = producer(model(family), name)
    found: list[Any] = []
    for one in (own, WrappedProducer(own)):
        with attach(model(family), tokenizer(), {"p": one}) as prompted, torch.no_grad():
            told = logits(prompted, *padded(ROWS, "right"), use_cache=False)
            found.append((prompted.slots, prompted.first_layer, told))
    assert found[0][:2] == found[1][:2]
    for alone, wrapped in zip(found[0][2], found[1][2], strict=True):
        assert torch.equal(alone, wrapped)


def test_what_stands_before_any_text() -> None:
    assert Footprint(count=2, static=True).stands_before_all
    assert not Footprint(count=2).stands_before_all
    assert not Footprint(count=2, static=True, placement="end").stands_before_all
    assert not Footprint(prefix=2, static=True).stands_before_all
