"""A user's own classes around a language model: what is published as a reward model, a value head, a classifier."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from .models import HIDDEN, fresh


class Passing(PreTrainedModel):
    """Hands its calls on; says nothing of a head."""

    base_model_prefix = "model"
    _supports_sdpa = True

    def __init__(self, config: Any, inner: Any) -> None:
        super().__init__(config)
        self.model = inner

    def forward(self, input_ids: Any = None, attention_mask: Any = None, **kwargs: Any) -> Any:
        return self.model(input_ids=input_ids, attention_mask=attention_mask, **kwargs)


class Elsewhere(PreTrainedModel):
    """The same under a name of its own, with a configuration of its own."""

    _supports_sdpa = True

    def __init__(self, inner: Any) -> None:
        super().__init__(PreTrainedConfig())
        self.writer = inner

    def forward(self, input_ids: Any = None, attention_mask: Any = None, **kwargs: Any) -> Any:
        return self.writer(input_ids=input_ids, attention_mask=attention_mask, **kwargs)


class Classifier(Elsewhere):
    """Another head on the language model's states, whose own head nobody asks."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.score = nn.Linear(HIDDEN, 3)

    def forward(self, input_ids: Any = None, attention_mask: Any = None, **kwargs: Any) -> Any:
        out = super().forward(input_ids, attention_mask, output_hidden_states=True, **kwargs)
        out.logits = self.score(out.hidden_states[-1])
        return out


class Valued(nn.Module):
    """Logits, and a value of every token beside them, as reinforcement learning wants."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.pretrained_model, self.config, self.v_head = inner, inner.config, nn.Linear(HIDDEN, 1)

    def forward(self, input_ids: Any = None, attention_mask: Any = None, **kwargs: Any) -> Any:
        given = {**kwargs, "output_hidden_states": True}
        out = self.pretrained_model(input_ids=input_ids, attention_mask=attention_mask, **given)
        return out.logits, self.v_head(out.hidden_states[-1]).squeeze(-1)

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        return self.pretrained_model.generate(*args, **kwargs)


class Two(nn.Module):
    """A policy and what it is compared with."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.policy, self.reference, self.config = inner, copy.deepcopy(inner), inner.config


class Nameless(nn.Module):
    """A module without a configuration."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.lm = inner


def around(kind: Any, family: str = "llama") -> tuple[Any, Any]:
    """A language model, and one of these classes around it."""
    base = fresh(family)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        made = kind(base.config, base) if kind is Passing else kind(base)
    return base, made.eval()
