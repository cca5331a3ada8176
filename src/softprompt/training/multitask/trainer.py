"""A trainer of several tasks: what it is chosen by is the mean of their main metrics on the validation rows."""

from __future__ import annotations

import torch

from softprompt.evaluation.score import Scores, figure, loss_of, score
from softprompt.inference.predict import predict
from softprompt.readouts.head import Head
from softprompt.sites.kept_room import Room
from softprompt.training.fitting.frozen_states import keep_pooled
from softprompt.training.fitting.stage_spec import Stage
from softprompt.training.fitting.task_model import TaskModel
from softprompt.training.fitting.trainer import OnStep, SoftPromptTrainer
from softprompt.training.multitask.together import OfTask, Together

MEAN = "mean"  # of the tasks' main metrics


class MultitaskTrainer(SoftPromptTrainer):
    """Trainer over a `TaskModel` whose readout is a `Together`; rows are drawn from all tasks' as from one's."""

    def __init__(self, stage: Stage, on_step: OnStep) -> None:
        """See `SoftPromptTrainer`."""
        super().__init__(stage, on_step)
        self.metric = MEAN

    def _measure(self) -> Scores:
        """The mean main metric and the mean loss, and each task's main metric by its name."""
        together, found = together_of(self.trained), dict[str, Scores]()
        for place, part in enumerate(together.parts):
            items = [item for item in self.validation if isinstance(item, OfTask) and item.place == place]
            rows = [item.row for item in items]
            size = self.options.eval_batch_size
            prompted = self.trained.prompted
            told = predict(prompted, part.readout, rows, batch_size=size, items=items, prompts=part.prompt)
            found[part.task.name] = score(part.task, rows, told)
        main = {part.task.name: figure(found[part.task.name], part.task.metric) for part in together.parts}
        losses = [loss for one in found.values() if (loss := loss_of(one)) is not None]
        mean = sum(main.values()) / len(main)
        return {MEAN: mean, "loss": sum(losses) / len(losses) if losses else None, "tasks": {**main}}


def together_of(trained: TaskModel) -> Together:
    """The readout of several tasks that is trained."""
    readout = trained.readout
    assert isinstance(readout, Together)
    return readout


def prepared(stage: Stage, begins: bool) -> Stage:
    """The stage with each task's head on the scale of its features; see `fitting.stage.prepared`."""
    for place, part in enumerate(together_of(stage.trained).parts):
        head = part.readout
        if begins and isinstance(head, Head):
            items = [item for item in stage.items if isinstance(item, OfTask) and item.place == place]
            prompted, rows, size = stage.trained.prompted, head.scaled_on(items), stage.options.eval_batch_size
            kept = keep_pooled(prompted, head, rows, batch_size=size, room=Room(), prompts=part.prompt)
            head.standardise(torch.cat([item.features for item in kept]))
    return stage
