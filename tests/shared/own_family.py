"""An architecture of a user's own, which follows no family: other names, its own attention, its own configuration."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutput

from .models import BOS, EOS, HIDDEN, PAD, VOCABULARY


class Blueprint(PreTrainedConfig):
    """No `vocab_size`, no `hidden_size`, no `num_hidden_layers`, no `num_attention_heads`."""

    model_type = "tower"

    def __init__(self, words: int = VOCABULARY, width: int = HIDDEN, height: int = 3, eyes: int = 4, **rest: Any):
        self.words, self.width, self.height, self.eyes = words, width, height, eyes
        super().__init__(**{"pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS, **rest})


class Gaze(nn.Module):
    """Causal attention in lines of its own: no AttentionInterface, no cache."""

    def __init__(self, plan: Blueprint) -> None:
        super().__init__()
        self.eyes = plan.eyes
        self.asks, self.shows, self.tells = (nn.Linear(plan.width, plan.width) for _ in range(3))

    def forward(self, states: Tensor, seen: Tensor | None) -> Tensor:
        asked, shown, told = (
            part(states).unflatten(-1, (self.eyes, -1)) for part in (self.asks, self.shows, self.tells)
        )
        scores = torch.einsum("bqhd,bkhd->bhqk", asked, shown) / asked.shape[-1] ** 0.5
        later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
        scores = scores.masked_fill(later, -1e4)
        if seen is not None:
            scores = scores.masked_fill(seen[:, None, None, :] == 0, -1e4)
        return torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), told).flatten(2)


class Storey(nn.Module):
    def __init__(self, plan: Blueprint) -> None:
        super().__init__()
        self.gaze, self.work = Gaze(plan), nn.Linear(plan.width, plan.width)
        self.before, self.between = nn.LayerNorm(plan.width), nn.LayerNorm(plan.width)

    def forward(self, states: Tensor, seen: Tensor | None) -> Tensor:
        states = states + self.gaze(self.before(states), seen)
        return states + torch.tanh(self.work(self.between(states)))


class TowerModel(PreTrainedModel):
    """The body: a lexicon and places, then storeys."""

    config_class = Blueprint
    base_model_prefix = "tower"

    def __init__(self, config: Blueprint) -> None:
        super().__init__(config)
        self.lexicon, self.places = nn.Embedding(config.words, config.width), nn.Embedding(64, config.width)
        self.storeys = nn.ModuleList(Storey(config) for _ in range(config.height))
        self.roof = nn.LayerNorm(config.width)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.lexicon

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **rest: Any,
    ) -> BaseModelOutput:
        states = self.lexicon(input_ids) if inputs_embeds is None else inputs_embeds
        places = torch.arange(states.shape[1])[None] if position_ids is None else position_ids
        states = states + self.places(places)
        for storey in self.storeys:
            states = storey(states, attention_mask)
        return BaseModelOutput(last_hidden_state=self.roof(states))


class TowerSpeaks(PreTrainedModel, GenerationMixin):
    """The body with a head on it."""

    config_class = Blueprint
    base_model_prefix = "tower"

    def __init__(self, config: Blueprint) -> None:
        super().__init__(config)
        self.tower, self.mouth = TowerModel(config), nn.Linear(config.width, config.words, bias=False)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.tower.lexicon

    def get_output_embeddings(self) -> nn.Module:
        return self.mouth

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **rest: Any,
    ) -> CausalLMOutput:
        states = self.tower(input_ids, attention_mask, position_ids, inputs_embeds).last_hidden_state
        return CausalLMOutput(logits=self.mouth(states))


def tower() -> TowerSpeaks:
    """A small one, its weights large enough that a wrong column or position shows."""
    torch.manual_seed(4)
    made = TowerSpeaks(Blueprint())
    with torch.no_grad():
        for weight in made.parameters():
            if weight.ndim > 1:
                weight.normal_(0, 0.25)
    return made.eval()
