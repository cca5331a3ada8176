"""A task's readout over an attached prompt, and its answers to rows."""

from __future__ import annotations

from typing import Any

import torch

from softprompt.attached.attach import attach, build
from softprompt.backbones.backbone import Backbone
from softprompt.methods import Method
from softprompt.readouts import Readout
from softprompt.readouts.build import build_readout
from softprompt.tasks import Task
from softprompt.training.options import TrainingOptions
from softprompt.training.setup import readout_spec

from .models import model, tokenizer

TEXTS = ["w20 w21 w22", "w30", "w40 w41 w42 w43 w44 w45"]


def made(task: Task, family: Any, method: Method, **options: Any) -> tuple[Any, Readout]:
    """An attached prompt and the task's readout, on a family's tiny model or another one."""
    backbone = model(family) if isinstance(family, str) else family
    spec = readout_spec(backbone, task, method, TrainingOptions(**options))
    prompt = build(backbone, tokenizer(), method)
    readout = build_readout(task, Backbone(backbone, tokenizer()), prompt, spec)
    return attach(backbone, tokenizer(), prompt), readout


def ids_of(text: str) -> list[int]:
    return list(tokenizer()(text)["input_ids"])


def answers(prompted: Any, readout: Readout, rows: Any) -> Any:
    with torch.no_grad():
        return readout.answer(prompted, readout.collate([readout.encode(row) for row in rows]))


CHOICES = [
    {"premise": "w20 w21", "choices": ["w30 w31", "w32"], "label": 0},
    {"premise": "w22", "choices": ["w33", "w34 w35 w36", "w37"], "label": 2},
]
