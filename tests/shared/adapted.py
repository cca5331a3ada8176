"""Tiny models with PEFT's adapters in them, whose every value matters."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import peft
import torch
from torch import nn

from .models import fresh

TARGETS = {"llama": ["q_proj", "v_proj"], "gpt2": ["c_attn"], "bert": ["query", "value"], "t5": ["q", "v"]}


def lora(
    family: str = "llama", *, task: str | None = None, names: tuple[str, ...] = ("default",), **options: Any
) -> Any:
    """A model with a LoRA, or several under names of their own; the first is active."""
    own = {"target_modules": TARGETS[family], "fan_in_fan_out": family == "gpt2", "init_lora_weights": False}
    return wrapped(fresh(family), peft.LoraConfig(task_type=task, r=2, **{**own, **options}), names)


def wrapped(model: Any, config: Any, names: tuple[str, ...] = ("default",)) -> Any:
    """A model with adapters of a configuration."""
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT asks transformers by a name that is going away
        torch.manual_seed(3)
        made = peft.get_peft_model(model, copy.deepcopy(config), adapter_name=names[0])
        for name in names[1:]:
            made.add_adapter(name, copy.deepcopy(config))
        _spread(made)
    return made.eval()


@torch.no_grad()
def _spread(model: nn.Module) -> None:
    for parameter in model.parameters():
        if parameter.requires_grad and not parameter.any():
            parameter.normal_(0.0, 0.1)


def merged(model: Any) -> Any:
    """A copy of the model with its active adapters added to its weights, and nothing of PEFT left."""
    return copy.deepcopy(model).merge_and_unload()
