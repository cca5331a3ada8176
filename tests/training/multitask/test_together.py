"""The loss of a batch of several tasks, against each row's own, and what teachers add to it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from softprompt.attached.attach import attach
from softprompt.backbones.backbone import Backbone
from softprompt.methods import PromptTuning
from softprompt.readouts import build_readout
from softprompt.training.multitask.together import OfTask, Part, Together
from softprompt.training.options import TrainingOptions
from softprompt.training.setup import readout_spec

from ...shared.models import model, tokenizer
from ...shared.prompts import close, producer
from ...shared.runs import task as words

NAMES = ("one", "other")
TAUGHT = [(0.9, 0.1), (0.25, 0.75)]  # of the second task's rows


def parts(folder: Path, family: str, labels: dict[str, str]) -> tuple[list[Part], dict[str, Any]]:
    """Two tasks with prompts of their own."""
    backbone = Backbone(model(family), tokenizer())
    prompts = {name: producer(model(family), PromptTuning(num_virtual_tokens=3), i) for i, name in enumerate(NAMES)}
    tasks = [words(folder / "a", name="one"), words(folder / "b", labels=labels, name="other")]
    spec = readout_spec(model(family), tasks[0], PromptTuning(), TrainingOptions())
    readouts = [build_readout(one, backbone, prompts["one"], spec) for one in tasks]
    return [Part(task, readout, task.name) for task, readout in zip(tasks, readouts, strict=True)], prompts


@pytest.mark.parametrize("taught", [False, True])
@pytest.mark.parametrize(
    ("family", "labels"),
    [
        ("llama", {"0": "w12", "1": "w13"}),
        ("llama", {"0": "w12 w14", "1": "w13"}),  # candidates, whose loss is over the vocabulary
        ("t5", {"0": "w12 w14", "1": "w13"}),
        ("bert", {"0": "w12 w14", "1": "w13"}),
    ],
)
def test_the_loss_is_the_mean_over_the_rows(taught: bool, family: str, labels: dict[str, str], tmp_path: Path) -> None:
    """Each task's own loss by its share of the rows, and lambda times KL from the teacher to what is answered."""
    found, prompts = parts(tmp_path, family, labels)
    told = [[None] * 4, TAUGHT if taught else [None] * 2]
    items = [
        [
            OfTask.of(part.readout.encode(row), place, one)
            for row, one in zip(part.task.splits(3).train[: len(own)], own, strict=True)
        ]
        for place, (part, own) in enumerate(zip(found, told, strict=True))
    ]
    mixed = [items[place][i] for place, i in ((0, 0), (1, 0), (0, 1), (0, 2), (1, 1), (0, 3))]
    together, wanted = Together(found, 0.7), 0.0
    with attach(model(family), tokenizer(), prompts) as prompted, torch.no_grad():
        loss = together.loss(prompted, together.collate(mixed, train=True))
        for part, own in zip(found, items, strict=True):
            each = part.readout.loss(prompted, part.readout.collate(own, train=True), part.prompt)
            answers = part.readout.answer(prompted, part.readout.collate(own), part.prompt)
            for item, answer in zip(own, answers, strict=True):
                if item.taught is not None:
                    pairs = zip(item.taught, answer.probabilities, strict=True)
                    each = each + 0.7 * sum(p * math.log(p / q) for p, q in pairs) / len(own)
            wanted = wanted + each * len(own) / len(mixed)
    assert math.isfinite(loss)
    close(loss, wanted, 1e-5)
