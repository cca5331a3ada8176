"""What every trainer here shares: transformers' Trainer without its noise, and checkpoints that no pickle enters."""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import SequentialSampler
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from softprompt.readouts import Batch
from softprompt.training.divergence import Guard
from softprompt.training.fitting import checkpoint


def in_order(rows: object) -> SequentialSampler:
    """A sampler that gives a trainer's rows in their order."""
    assert isinstance(rows, Sized), "the rows have no end"
    return SequentialSampler(rows)


@dataclass
class _OnOneDevice(TrainingArguments):
    """Trains where the model is: Trainer would move it to the first GPU, and spread its batches over all of them.

    Attributes:
        place: the model's device.
    """

    place: str = "cpu"

    @cached_property
    def _setup_devices(self) -> torch.device:
        device: torch.device = vars(TrainingArguments)["_setup_devices"].func(self)
        if self.world_size > 1:
            return device
        self._n_gpu = min(self._n_gpu, 1)
        device = torch.device(self.place)
        if device.type == "cuda":
            torch.cuda.set_device(device)
        return device


def arguments(folder: Path, device: torch.device, seed: int, **chosen: Any) -> TrainingArguments:
    """Trainer's arguments with its own logging, evaluation and saving off.

    Args:
        folder: where checkpoints go.
        device: of the model.
        seed: of the order of rows and of dropout.
        **chosen: any other argument.
    """
    return _OnOneDevice(
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


class ResumableTrainer(Trainer):
    """Trainer that reads what `checkpoint.write` wrote; sub-classes load their own model's part.

    Attributes:
        trained: what is trained; its state is what a checkpoint holds.
        losses: of the batches since the last evaluation; a sub-class sets these and `guard` before anything else.
        guard: drops the gradient of a step that is not finite.
    """

    trained: nn.Module
    losses: list[float]
    guard: Guard
    _norm: Tensor | float | None = None

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
        assert self._norm is not None, "this transformers release does not compute the gradient's norm where it did"
        if not self.guard.passes(float(self._norm), self.state.global_step + 1):
            for group in self.create_optimizer().param_groups:
                for parameter in group["params"]:
                    parameter.grad = None
        self._norm = None

    def _get_grad_norm(self, model: nn.Module, grad_norm: Tensor | float | None = None) -> Tensor | float | None:
        self._norm = super()._get_grad_norm(model, grad_norm=grad_norm)  # type: ignore[no-untyped-call]
        return self._norm

    def floating_point_ops(self, inputs: Batch) -> int:
        """Not counted."""
        return 0

    def _prepare_inputs(self, inputs: Batch) -> Batch:
        return inputs

    def _load_optimizer_and_scheduler(self, checkpoint_path: str | None) -> None:
        if checkpoint_path is not None:
            checkpoint.load_optimizer(Path(checkpoint_path), self.training_state())

    def _load_scaler(self, checkpoint_path: str | None) -> None:
        """Prompts are fp32, so no loss is scaled: there is nothing to load, least of all a pickle."""

    def _load_rng_state(self, checkpoint_path: str | None) -> None:
        if checkpoint_path is not None:
            checkpoint.load_random(Path(checkpoint_path))


class _Guarding(TrainerCallback):
    """Asks the guard before every step of the optimiser."""

    def __init__(self, trainer: ResumableTrainer) -> None:
        self.trainer = trainer

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """The gradients are there, clipped."""
        self.trainer.before_the_optimizer()
