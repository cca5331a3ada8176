"""An architecture of a user's own, which follows no family: other names, its own attention, its own configuration."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, CausalLMOutput
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .models import BOS, EOS, HIDDEN, PAD, VOCABULARY


class Blueprint(PreTrainedConfig):
    """No `vocab_size`, no `hidden_size`, no `num_hidden_layers`, no `num_attention_heads`."""

    model_type = "tower"

    def __init__(self, width: int = HIDDEN, listed: bool = True, open: bool = False, **rest: Any):
        self.words, self.width, self.height, self.eyes = VOCABULARY, width, 3, 4
        self.listed, self.open = listed, open
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


class OpenGaze(Gaze):
    """The same through a function of AttentionInterface."""

    is_causal = True
    num_key_value_groups = 1

    def __init__(self, plan: Blueprint) -> None:
        super().__init__(plan)
        self.config = plan

    def forward(self, states: Tensor, seen: Tensor | None) -> Tensor:
        parts = (self.asks, self.shows, self.tells)
        heads = [part(states).unflatten(-1, (self.eyes, -1)).transpose(1, 2) for part in parts]
        mask = torch.ones(states.shape[1], states.shape[1], dtype=torch.bool).tril()[None, None]
        if seen is not None:
            mask = mask & (seen[:, None, None, :] > 0)
        mask = mask | torch.eye(states.shape[1], dtype=torch.bool)  # padding sees itself
        attend = ALL_ATTENTION_FUNCTIONS[self.config._attn_implementation]
        told, _ = attend(self, *heads, mask, scaling=heads[0].shape[-1] ** -0.5, dropout=0.0)
        return told.flatten(2)


class Storey(nn.Module):
    def __init__(self, plan: Blueprint) -> None:
        super().__init__()
        self.gaze = OpenGaze(plan) if plan.open else Gaze(plan)
        self.work = nn.Linear(plan.width, plan.width)
        self.before, self.between = nn.LayerNorm(plan.width), nn.LayerNorm(plan.width)

    def forward(self, states: Tensor, seen: Tensor | None) -> Tensor:
        states = states + self.gaze(self.before(states), seen)
        return states + torch.tanh(self.work(self.between(states)))


class TowerModel(PreTrainedModel):
    """The body: a lexicon and places, then storeys."""

    config_class = Blueprint
    _supports_sdpa = True
    base_model_prefix = "tower"

    def __init__(self, config: Blueprint) -> None:
        super().__init__(config)
        self.lexicon, self.places = nn.Embedding(config.words, config.width), nn.Embedding(64, config.width)
        storeys = [Storey(config) for _ in range(config.height)]
        if config.listed:
            self.storeys = nn.ModuleList(storeys)
        else:
            self.ground, self.first, self.second = storeys
        self.roof = nn.LayerNorm(config.width)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.lexicon

    def floors(self) -> tuple[nn.Module, ...]:
        return tuple(self.storeys) if self.config.listed else (self.ground, self.first, self.second)

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
        for storey in self.floors():
            states = storey(states, attention_mask)
        return BaseModelOutput(last_hidden_state=self.roof(states))


class TowerSpeaks(PreTrainedModel, GenerationMixin):
    """The body with a head on it."""

    config_class = Blueprint
    _supports_sdpa = True
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


class Hut(TowerModel):
    """Body and head in one."""

    base_model_prefix = ""

    def __init__(self, config: Blueprint) -> None:
        super().__init__(config)
        self.mouth = nn.Linear(config.width, config.words, bias=False)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **rest: Any,
    ) -> CausalLMOutput:
        states = super().forward(input_ids, attention_mask, position_ids, inputs_embeds).last_hidden_state
        return CausalLMOutput(logits=self.mouth(states))


def own(kind: type[PreTrainedModel] = TowerSpeaks, **options: Any) -> Any:
    """A small one, its weights large enough that a wrong column or position shows."""
    torch.manual_seed(4)
    made = kind(Blueprint(**options))
    with torch.no_grad():
        for weight in made.parameters():
            if weight.ndim > 1:
                weight.normal_(0, 0.25)
    return made.eval()
