"""What a model's call goes through, seen in one call."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from softprompt.backbones.route import called_layers, is_called, receivers

from ..shared.models import model


class Storey(nn.Module):
    """A layer under no known name: it mixes columns and hands states on."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Linear(width, width)

    def forward(self, states: Tensor) -> Tensor:
        return states + torch.tanh(self.mix(states)).cumsum(1)


class House(nn.Module):
    """A body of unusual names: its storeys run twice, and two other lists stand beside them."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.config = SimpleNamespace(vocab_size=30)
        self.lexicon = nn.Embedding(30, width)
        self.storeys = nn.ModuleList(Storey(width) for _ in range(3))
        self.lamps = nn.ModuleList(nn.Linear(width, width) for _ in range(3))
        self.cellar = nn.ModuleList([nn.Linear(width, 4 * width)])

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        states: Tensor = self.lexicon(input_ids)
        for storey in (*self.storeys, *self.storeys):
            states = storey(states)
        for lamp in self.lamps:
            states = states + lamp(states)
        self.cellar[0](states)
        return states


class Street(nn.Module):
    """A model around the house, which looks nothing up itself."""

    def __init__(self) -> None:
        super().__init__()
        self.config = SimpleNamespace(vocab_size=30)
        self.number = House()
        self.tower = nn.Linear(2, 2)

    def forward(self, input_ids: Tensor, **rest: Any) -> Tensor:
        states: Tensor = self.number(input_ids, **rest)
        return states


def test_ids_go_from_outside_in() -> None:
    street = Street()
    assert receivers(street) == (street, street.number)
    bert = model("bert")
    assert receivers(bert)[:2] == (bert, bert.bert)


def test_a_model_that_needs_more_than_ids_has_no_receivers() -> None:
    street = Street()
    street.number.forward = lambda input_ids, pictures: None  # type: ignore[assignment,misc]
    assert receivers(street) == ()
    assert receivers(nn.Linear(2, 2)) == ()


def test_layers_are_what_hands_states_on() -> None:
    """In the order of their calls; not what is called beside the stream, or gives another width."""
    house = House()
    assert called_layers(house) == (*house.storeys, *house.storeys)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in house.modules())
    llama = model("llama").model
    assert called_layers(llama) == tuple(llama.layers)


def test_nothing_hands_states_on() -> None:
    house = House()
    house.storeys = house.lamps
    assert called_layers(house) == ()


def test_layers_are_the_texts_where_it_enters_them_by_a_call() -> None:
    house: Any = House()
    vars(house)["get_input_embeddings"] = lambda: house.lexicon
    house.attic = nn.Linear(2, 2)  # nobody goes there
    assert is_called(house.storeys[0], house)
    assert not is_called(house.attic, house)
    house.lexicon.forward = None
    assert is_called(house.attic, house)  # as far as anybody knows
