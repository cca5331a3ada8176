"""A gate hands on all that its prompt occupies and does, or refuses it in a line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from softprompt.attached.attach import attach
from softprompt.errors import SoftPromptError
from softprompt.methods.deep_prompt import DeepPrompt
from softprompt.methods.parts.gated import Gated
from softprompt.methods.parts.gates import Gates
from softprompt.sites.footprint import Footprint
from softprompt.sites.producer import Producer, StandIn, View

from ...shared.models import HIDDEN, LAYERS, ids, model, padded, tokenizer
from ...shared.prompts import close, logits, producer

OPTIONS = DeepPrompt()
PLACES: dict[str, Any] = {
    "count": 2, "placement": "after_bos", "prefix": 3, "shift": False, "hidden_layers": frozenset({1, 2}),
    "first_layer": 1, "visible_to_decoder": False, "static": True, "around": (1, 0, 1, 0),
    "pool": (("{text} so {mask}", (5,)),),
}  # fmt: skip


class Moving(Producer):
    """A prompt that moves its text, too."""

    count = 2
    hidden_layers = frozenset({0, 2})

    def embed(self, view: View) -> Tensor:
        return torch.full((2, HIDDEN), 0.3)

    def shift_text(self, view: View) -> Tensor:
        return 0.5 * view.text[..., None] * torch.ones_like(view.states)

    def rewrite(self, layer: int, view: View) -> Tensor:
        return torch.full((2, HIDDEN), 0.1 * (layer + 1))


class Weighing(Producer):
    prefix = 2

    def prefix_values(self) -> Tensor:
        return torch.ones(LAYERS)


class Changing(Producer):
    hidden_layers = frozenset({0})
    count = 1

    def stand_ins(self, model: nn.Module) -> Mapping[nn.Module, StandIn]:
        return {}


def gated(inner: Producer) -> Gated:
    return Gated(inner, Gates(LAYERS, "threshold"), None, OPTIONS)


@pytest.mark.parametrize("name", list(PLACES))
def test_each_part_of_a_prompts_footprint_is_its_gates_too(name: str) -> None:
    inner = Producer()
    inner.hidden_layers, inner.count = frozenset({0}), 1
    setattr(inner, name, PLACES[name])
    assert gated(inner).footprint == inner.footprint
    assert getattr(gated(inner).footprint, name) == PLACES[name]


def test_all_parts_are_handed_on_or_refused() -> None:
    told = Footprint(**PLACES)
    assert told != Footprint()
    assert {"decoder_prefix", "cross_prefix"} == {
        name for name in Footprint.__dataclass_fields__ if getattr(told, name) == getattr(Footprint(), name)
    }
    assert replace(told, decoder_prefix=1).joins


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_with_open_gates_a_prompt_does_all_it_did(family: str) -> None:
    batch = padded([ids(7, 1), ids(4, 2)], "right")
    found: list[list[Tensor]] = []
    for one in (Moving(), gated(Moving())):
        if isinstance(one, Gated):
            one.gates.logits.data.fill_(3.0)
        with attach(model(family), tokenizer(), {"p": one}) as prompted, torch.no_grad():
            found.append(logits(prompted, *batch))
    for alone, whole in zip(*found, strict=True):
        close(alone, whole, 1e-6)


@pytest.mark.parametrize(
    ("inner", "why"),
    [
        (lambda: producer(model("t5"), "prefix_tuning"), "stand in a decoder too"),
        (lambda: producer(model("llama"), "prompt_tuning"), "stands at no layer"),
        (Weighing, "weighs its layers itself"),
        (Changing, "changes weights"),
    ],
)
def test_what_no_gate_closes_is_refused_in_a_line(inner: Any, why: str) -> None:
    with pytest.raises(
        SoftPromptError, match=rf"^method 'deep_prompt' is searched .* {why}.*: name the layers"
    ) as told:
        gated(inner())
    assert "\n" not in str(told.value)
