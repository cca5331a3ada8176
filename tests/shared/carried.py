"""Prompts that are carried elsewhere: every value of theirs matters."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch

import softprompt as sp
from softprompt.methods import Method
from softprompt.storage.prompt import Prompt

from . import prompts
from .models import tokenizer


def prompt_of(backbone: Any, method: Method, seed: int = 0, words: Any = None) -> Prompt:
    """A prompt whose every value matters, as training leaves it."""
    made = prompts.producer(backbone, method, seed)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed)) * 0.1)
    own = words or tokenizer()
    return Prompt(method, made, None, None, None, sp.Backbone(backbone, own).fingerprint, backbone, own)


def beside(folder: Path, name: str) -> Any:
    """The program that was written beside a prompt, `NAME.py`, which knows nothing of this library."""
    path = folder / f"{name}.py"
    assert "softprompt" not in path.read_text()
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found
