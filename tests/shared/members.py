"""Untrained prompts with readouts of their own, as members of an ensemble or prompts to transfer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from softprompt.backbones.backbone import Backbone
from softprompt.methods import method as method_of
from softprompt.methods.base import Method
from softprompt.storage.prompt import Prompt
from softprompt.tasks import Row, Task

from .models import model, tokenizer
from .prompts import producer
from .runs import task as words_task

GENERATION: dict[str, Any] = {"kind": "generation", "labels": {}, "metrics": ["exact_match"]}


def few(folder: Path, **changes: Any) -> tuple[Task, list[Row]]:
    """A task and seven of its rows; a free text's answer is a word that the tokenizer knows."""
    task = words_task(folder, **changes)
    rows = task.splits(1).train[:7]
    if task.kind == "generation":
        rows = [replace(row, label=f"w1{row.label}", answers=(f"w1{row.label}",)) for row in rows]
    return task, rows


def member(task: Task, family: str, method: Method | str, seed: int, **wishes: Any) -> Prompt:
    """An untrained prompt whose every vector matters, with a readout of its own."""
    from softprompt.backbones.fingerprint import fingerprint
    from softprompt.readouts.build import build_readout
    from softprompt.training.options import TrainingOptions
    from softprompt.training.setup import readout_spec

    backbone, chosen = model(family), method_of(method) if isinstance(method, str) else method
    made = producer(backbone, chosen, seed)
    spec = readout_spec(backbone, task, chosen, TrainingOptions(**wishes))
    readout = build_readout(task, Backbone(backbone, tokenizer()), made, spec)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(seed)
        for parameter in readout.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return Prompt(chosen, made, task, readout, spec, fingerprint(backbone), backbone, tokenizer(), {"seed": seed})
