"""The loss of a batch of several tasks, against each row's own, and what teachers add to it."""

from __future__ import annotations

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

NAMES = ("one", "other", "teacher")


def parts(folder: Path, *, taught: bool) -> tuple[list[Part], dict[str, Any]]:
    """Two tasks with prompts of their own; the second learns from a teacher where `taught`."""
    backbone = Backbone(model("llama"), tokenizer())
    prompts = {name: producer(model("llama"), PromptTuning(num_virtual_tokens=3), i) for i, name in enumerate(NAMES)}
    tasks = [words(folder / "a", name="one"), words(folder / "b", labels={"0": "w12", "1": "w13"}, name="other")]
    spec = readout_spec(model("llama"), tasks[0], PromptTuning(), TrainingOptions())
    readouts = [build_readout(one, backbone, prompts["one"], spec) for one in (*tasks, tasks[1])]
    teacher = ("teacher", readouts[2]) if taught else None
    return [Part(tasks[0], readouts[0], "one"), Part(tasks[1], readouts[1], "other", teacher)], prompts


@pytest.mark.parametrize("taught", [False, True])
def test_the_loss_is_the_mean_over_the_rows(taught: bool, tmp_path: Path) -> None:
    found, prompts = parts(tmp_path, taught=taught)
    rows = [
        [part.readout.encode(row) for row in part.task.splits(3).train[:count]]
        for part, count in zip(found, (4, 2), strict=True)
    ]
    items = [OfTask.of(item, place) for place, own in enumerate(rows) for item in own]
    mixed = [items[i] for i in (0, 4, 1, 2, 5, 3)]
    together = Together(found, 0.7)
    with attach(model("llama"), tokenizer(), prompts) as prompted, torch.no_grad():
        loss = together.loss(prompted, together.collate(mixed, train=True))
        by_hand = []
        for part, own in zip(found, rows, strict=True):
            for item in own:
                batch = part.readout.collate([item], train=True)
                student = part.readout.scores(part.readout.outputs(prompted, batch, part.prompt), batch)[0]
                one = -student[item.label]
                if part.teacher is not None:
                    teacher = part.readout.scores(part.readout.outputs(prompted, batch, "teacher"), batch)[0]
                    one = one + 0.7 * sum(p.exp() * (p - q) for p, q in zip(teacher, student, strict=True))
                by_hand.append(one)
    close(loss, torch.stack(by_hand).mean(), 1e-5)


def test_a_teacher_gets_no_gradient(tmp_path: Path) -> None:
    found, prompts = parts(tmp_path, taught=True)
    items = [OfTask.of(found[1].readout.encode(row), 1) for row in found[1].task.splits(3).train[:2]]
    together = Together(found, 1.0)
    with attach(model("llama"), tokenizer(), prompts) as prompted:
        prompted.train()
        together.loss(prompted, together.collate(items, train=True)).backward()
    assert prompts["other"].table.grad.any()
    assert prompts["teacher"].table.grad is None
    assert prompts["one"].table.grad is None
