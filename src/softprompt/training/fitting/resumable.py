"""What every trainer here shares: transformers' Trainer without its noise, and checkpoints that no pickle enters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from softprompt.backbones.compat import TrainerInside, one_device_arguments
from softprompt.backbones.freed import give_back
from softprompt.readouts import Batch
from softprompt.training.divergence import Guard
from softprompt.training.fitting import checkpoint

_HOLES = 50  # steps, our choice: of MiniLM they leave .3 GB, and giving it back takes .1 s


def arguments(folder: Path, device: torch.device, seed: int, **chosen: Any) -> TrainingArguments:
    """Trainer's arguments with its own logging, evaluation and saving off.

    Args:
        folder: where checkpoints go.
        device: of the model.
        seed: of the order of rows and of dropout.
        **chosen: any other argument.
    """
    return one_device_arguments()(
        place=str(device),
        output_dir=str(folder),
        seed=seed,
        data_seed=seed,
        disable_tqdm=True,
        report_to="none",
        logging_strategy="no",
        eval_strategy="no",
        save_strategy="no",
        remove_unused_columns=False,
        use_cpu=device.type == "cpu",
        dataloader_pin_memory=device.type != "cpu",
        label_names=[],
        **chosen,
    )


class ResumableTrainer(TrainerInside, Trainer):
    """Trainer that reads what `checkpoint.write` wrote; sub-classes load their own model's part.

    Attributes:
        trained: what is trained; its state is what a checkpoint holds.
        losses: of the batches since the last evaluation; a sub-class sets these and `guard` before anything else.
        guard: drops the gradient of a step that is not finite.
    """

    trained: nn.Module
    losses: list[float]
    guard: Guard

    def prepare(self) -> None:
        """Take off the callbacks that print, and put the guard before the optimiser."""
        for callback in (PrinterCallback, ProgressCallback):
            self.remove_callback(callback)
        self.add_callback(_Guarding(self))
        self.accelerator.device_placement = False  # the model is where it shall be, and batches go where it is

    def remember(self, loss: Tensor) -> None:
        """Take the loss of a batch, a scalar."""
        value = float(loss.detach())
        self.losses.append(value)
        self.guard.see(value)

    def training_state(self) -> checkpoint.TrainingState:
        """What the next step depends on."""
        assert self.lr_scheduler is not None
        return checkpoint.TrainingState(self.trained, self.create_optimizer(), self.lr_scheduler, self.state)

    def before_the_optimizer(self) -> None:
        """Drop the gradient of a step that is not finite; a parameter without one stays as it is."""
        norm = self.gradient_norm
        assert norm is not None, "this transformers release does not compute the gradient's norm where it did"
        if not self.guard.passes(float(norm), self.state.global_step + 1):
            for group in self.create_optimizer().param_groups:
                for parameter in group["params"]:
                    parameter.grad = None
        self.gradient_norm = None

    def floating_point_ops(self, inputs: Batch) -> int:
        """Not counted."""
        return 0

    def load_optimizer(self, folder: Path) -> None:
        """Read the states of the optimiser and of the schedule."""
        checkpoint.load_optimizer(folder, self.training_state())

    def load_random(self, folder: Path) -> None:
        """Read the states of random numbers."""
        checkpoint.load_random(folder)


class _Guarding(TrainerCallback):
    """Asks the guard before every step of the optimiser, and gives back memory that batches of many lengths leave."""

    def __init__(self, trainer: ResumableTrainer) -> None:
        self.trainer = trainer

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """The gradients are there, clipped."""
        self.trainer.before_the_optimizer()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """Now and then the system gets the holes in the heap back, which no longer batch would fit into."""
        if state.global_step % _HOLES == 0 and next(self.trainer.trained.parameters()).device.type == "cpu":
            give_back()
