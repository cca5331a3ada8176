"""The trainer of an adaptation: constant Adafactor over a stream of examples, resumable to the same bytes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Self

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.optimization import Adafactor

from softprompt.evaluation.score import Scores, figure, loss_of
from softprompt.inference.batches import batches, to_device
from softprompt.methods.options import Options
from softprompt.readouts import Batch
from softprompt.training.adaptation.prefix_lm import Example, PrefixLM, Stream, collate
from softprompt.training.divergence import Guard, NotFinite, unsound
from softprompt.training.fitting import checkpoint
from softprompt.training.fitting.record import TrainerRecord, load_extra
from softprompt.training.fitting.resumable import ResumableTrainer, arguments


class AdaptOptions(Options):
    """Options of an adaptation."""

    steps: int = Field(1000, ge=1, description="optimiser steps (the paper: up to 100,000)")
    learning_rate: float = Field(1e-3, gt=0, description="constant, with Adafactor's parameter scaling (T5's own)")
    batch_size: int = Field(16, ge=1, description="texts a batch")
    accumulate: int = Field(1, ge=1, description="batches whose gradients are summed to one step")
    max_length: int = Field(256, ge=2, description="most tokens of a chunk, inputs and targets together")
    saves: int = Field(8, ge=1, description="how often the training state is written")
    keep_at: tuple[Annotated[int, Field(ge=0)], ...] = Field((), description="steps at which the model is kept, too")
    threads: int | None = Field(None, ge=1, le=1024, description="CPU threads; default: torch's own choice")

    @field_validator("keep_at")
    @classmethod
    def _each_once(cls, steps: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(set(steps)))

    @model_validator(mode="after")
    def _within(self) -> Self:
        if self.keep_at and self.keep_at[-1] > self.steps:
            raise ValueError(f"keep_at: step {self.keep_at[-1]:,} is beyond the {self.steps:,} steps of the adaptation")
        return self


@dataclass(frozen=True)
class Adaptation:
    """What an adaptation is made of.

    Attributes:
        model: the model.
        stream: of examples, one for each place of each step.
        held: examples to measure on.
        filler: the padding id.
        options: of the adaptation.
        folder: where checkpoints go.
        seed: of everything drawn.
        keep: writes the model as it is at a step, one of `options.keep_at` before the last.
    """

    model: PrefixLM
    stream: Stream
    held: Sequence[Example]
    filler: int
    options: AdaptOptions
    folder: Path
    seed: int
    keep: Callable[[int], None]


class AdaptTrainer(ResumableTrainer):
    """Trainer over a `PrefixLM`: constant Adafactor, a fixed stream of examples.

    Args:
        given: what it is made of.
        tick: told of every step.
        stopping: asked after every step whether to write a checkpoint and stop.
    """

    in_order = True
    trained: PrefixLM

    def __init__(self, given: Adaptation, tick: Callable[..., None], stopping: Callable[[], bool]) -> None:
        """See the class."""
        self.trained, self.held, self.options, self.folder = given.model, given.held, given.options, given.folder
        self.keep, self.keep_at = given.keep, {*self.options.keep_at} - {self.options.steps}
        self.collate = partial(collate, filler=given.filler)
        self.history: list[Scores] = []
        self.losses, self.guard = [], Guard()
        self.seconds_before = 0.0
        self.every = max(1, round(self.options.steps / self.options.saves))
        super().__init__(
            model=self.trained,
            args=arguments(
                self.folder,
                next(self.trained.parameters()).device,
                given.seed,
                max_steps=self.options.steps,
                per_device_train_batch_size=self.options.batch_size,
                gradient_accumulation_steps=self.options.accumulate,
                learning_rate=self.options.learning_rate,
                lr_scheduler_type="constant",
            ),
            train_dataset=given.stream,
            data_collator=self.collate,
        )
        self.prepare()
        self.add_callback(_Steps(self, tick, stopping))
        self.started = time.monotonic()

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """The mean over the targets' tokens."""
        loss: Tensor = model(to_device(inputs, self.trained))
        self.remember(loss)
        return loss

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Adafactor with parameter scaling and a rate of our own."""
        if self.optimizer is None:
            self.optimizer = Adafactor(
                list(self.trained.parameters()),
                lr=self.options.learning_rate,
                relative_step=False,
                scale_parameter=True,
                warmup_init=False,
            )
        return self.optimizer

    def measure(self) -> Scores:
        """The mean loss since the last look, and that of the held-out chunks."""
        self.guard.check_parameters(self.trained.named_parameters(), self.state.global_step)
        found: Scores = {
            "step": self.state.global_step,
            "train_loss": sum(self.losses) / len(self.losses) if self.losses else None,
            "loss": self._held_loss(),
        }
        self.losses.clear()
        self.history.append(found)
        return found

    def seconds(self) -> float:
        """Training time so far, over interruptions."""
        return self.seconds_before + time.monotonic() - self.started

    def diverged(self) -> NotFinite | None:
        """What was not finite, if that ended the training."""
        last = self.state.global_step >= self.state.max_steps
        if self.guard.over(last=last):
            return self.guard.fault
        held = loss_of(self.history[-1]) if self.held and self.history else 0.0
        sound = held is not None and math.isfinite(held)
        return unsound(self.state.global_step, "held-out loss", held) if last and not sound else None

    def write_checkpoint(self) -> Path:
        """Write the training state."""
        extra: TrainerRecord = {
            "seconds": self.seconds(),
            "history": self.history,
            "losses": list(self.losses),
            "diverged": self.diverged(),
            "guard": self.guard.state(),
        }
        return checkpoint.write(self.folder, self.training_state(), {}, extra)

    @torch.inference_mode()
    def _held_loss(self) -> float | None:
        if not self.held:
            return None
        total, count = 0.0, 0
        for _, batch in batches(self.held, self.collate, self.options.batch_size, self.trained, in_order=True):
            tokens = int((batch["labels"] >= 0).sum())
            total, count = total + float(self.trained(batch)) * tokens, count + tokens
        return total / count

    def load_trained(self, folder: Path) -> None:
        """Read the model and what was measured."""
        checkpoint.load_model(folder, self.trained)
        extra = load_extra(folder)
        self.seconds_before, self.history = extra["seconds"], extra["history"]
        self.losses = [math.nan if loss is None else loss for loss in extra["losses"]]
        self.guard.take(extra["guard"])


class _Steps(TrainerCallback):
    """Measures, writes checkpoints and tells progress."""

    def __init__(self, trainer: AdaptTrainer, tick: Callable[..., None], stopping: Callable[[], bool]) -> None:
        self.trainer, self.tick, self.stopping = trainer, tick, stopping

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """What the model is worth before the first step."""
        if state.global_step == 0:
            self.tick(0, note=_note(self.trainer.measure()))
            if 0 in self.trainer.keep_at:
                self.trainer.keep(0)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """Every `every` steps, where the model is kept and at the end: measure and save."""
        note, kept = None, state.global_step in self.trainer.keep_at
        due = kept or state.global_step % self.trainer.every == 0 or state.global_step >= state.max_steps
        if due or self.trainer.diverged():
            note = _note(self.trainer.measure())
            # Before the checkpoint: whoever goes on from it finds the model kept.
            if kept and not self.trainer.diverged():
                self.trainer.keep(state.global_step)
            self.trainer.write_checkpoint()
            control.should_training_stop |= self.trainer.diverged() is not None
        elif self.stopping():
            self.trainer.write_checkpoint()
        if self.stopping():
            control.should_training_stop = True
        self.tick(1, note=note)


def _note(found: Scores) -> str:
    name = "loss" if found["loss"] is not None else "train_loss"
    return "" if found[name] is None else f"loss {figure(found, name):.3f}"
