"""Prompts that are carried elsewhere: every value of theirs matters."""

from __future__ import annotations

from typing import Any

import torch

import softprompt as sp
from softprompt.methods import Method
from softprompt.storage.prompt import Prompt

from . import prompts
from .models import tokenizer


def prompt_of(backbone: Any, method: Method, seed: int = 0) -> Prompt:
    """A prompt whose every value matters, as training leaves it."""
    made = prompts.producer(backbone, method, seed)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed)) * 0.1)
    return Prompt(method, made, None, None, None, sp.Backbone(backbone, tokenizer()).fingerprint, backbone, tokenizer())
