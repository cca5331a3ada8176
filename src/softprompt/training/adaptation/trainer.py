"""The trainer of an adaptation: constant Adafactor over a stream of examples, resumable to the same bytes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch.utils.data import SequentialSampler
from transformers import TrainerCallback
from transformers.optimization import Adafactor

from softprompt.inference.batches import batches, to_device
from softprompt.methods.options import Options
from softprompt.training.adaptation.prefix_lm import Pair, PrefixLM, Stream, collate
from softprompt.training.divergence import Fault, Guard, unsound
from softprompt.training.fitting import checkpoint
from softprompt.training.fitting.record import load_extra
from softprompt.training.fitting.resumable import ResumableTrainer, arguments


class AdaptOptions(Options):
    """Options of an adaptation."""

    steps: int = Field(1000, ge=1, description="optimiser steps (the paper: up to 100,000)")
    learning_rate: float = Field(1e-3, gt=0, description="constant, with Adafactor's parameter scaling (T5's own)")
    batch_size: int = Field(16, ge=1, description="texts a batch")
    accumulate: int = Field(1, ge=1, description="batches whose gradients are summed to one step")
    max_length: int = Field(256, ge=2, description="most tokens of a chunk, inputs and targets together")
    saves: int = Field(8, ge=1, description="how often the training state is written")
    threads: int | None = Field(None, ge=1, le=1024, description="CPU threads; default: torch's own choice")


class AdaptTrainer(ResumableTrainer):
    """Trainer over a `PrefixLM`: constant Adafactor, a fixed stream of examples.

    Args:
        model: the model.
        stream: of examples, one for each place of each step.
        held: examples to measure on.
        filler: the padding id.
        options: of the adaptation.
        folder: where checkpoints go.
        seed: of everything drawn.
        tick: told of every step.
        stopping: asked after every step whether to write a checkpoint and stop.
    """

    def __init__(
        self,
        model: PrefixLM,
        stream: Stream,
        held: Sequence[Pair],
        filler: int,
        options: AdaptOptions,
        folder: Path,
        seed: int,
        tick: Callable[..., None],
        stopping: Callable[[], bool],
    ) -> None:
        """See the class."""
        self.trained, self.held, self.options, self.folder = model, list(held), options, folder
        self.collate = partial(collate, filler=filler)
        self.history: list[dict[str, Any]] = []
        self.losses, self.guard = [], Guard()
        self.seconds_before = 0.0
        self.every = max(1, round(options.steps / options.saves))
        super().__init__(
            model=model,
            args=arguments(
                folder,
                next(model.parameters()).device,
                seed,
                max_steps=options.steps,
                per_device_train_batch_size=options.batch_size,
                gradient_accumulation_steps=options.accumulate,
                learning_rate=options.learning_rate,
                lr_scheduler_type="constant",
            ),
            train_dataset=stream,
            data_collator=self.collate,
        )
        self.prepare()
        self.add_callback(_Steps(self, tick, stopping))
        self.started = time.monotonic()

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The mean over the targets' tokens."""
        loss = model(to_device(inputs, self.trained))
        self.remember(loss)
        return loss

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
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

    def measure(self) -> dict[str, Any]:
        """The mean loss since the last look, and that of the held-out chunks."""
        self.guard.check_parameters(self.trained.named_parameters(), self.state.global_step)
        found = {
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

    def diverged(self) -> Fault | None:
        """What was not finite, if that ended the training."""
        last = self.state.global_step >= self.state.max_steps
        if self.guard.over(last=last):
            return self.guard.fault
        held = self.history[-1]["loss"] if self.held and self.history else 0.0
        return unsound(self.state.global_step, "held-out loss", held) if last and not math.isfinite(held) else None

    def write_checkpoint(self) -> Path:
        """Write the training state."""
        extra = {
            "seconds": self.seconds(),
            "history": self.history,
            "losses": self.losses,
            "diverged": self.diverged(),
            "guard": self.guard.state(),
        }
        step, optimizer = self.state.global_step, self.create_optimizer()
        return checkpoint.write(self.folder, step, self.trained, optimizer, self.lr_scheduler, self.state, {}, extra)

    @torch.inference_mode()
    def _held_loss(self) -> float | None:
        if not self.held:
            return None
        total, count = 0.0, 0
        for _, batch in batches(self.held, self.collate, self.options.batch_size, self.trained, in_order=True):
            tokens = int((batch["labels"] >= 0).sum())
            total, count = total + float(self.trained(batch)) * tokens, count + tokens
        return total / count

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return SequentialSampler(train_dataset if train_dataset is not None else self.train_dataset)  # type: ignore[arg-type]

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        path = Path(resume_from_checkpoint)
        checkpoint.load_model(path, self.trained)
        extra = load_extra(path)
        self.seconds_before, self.history = extra["seconds"], extra["history"]
        self.losses = [math.nan if loss is None else loss for loss in extra["losses"]]
        self.guard.take(extra["guard"])


class _Steps(TrainerCallback):
    """Measures, writes checkpoints and tells progress."""

    def __init__(self, trainer: AdaptTrainer, tick: Callable[..., None], stopping: Callable[[], bool]) -> None:
        self.trainer, self.tick, self.stopping = trainer, tick, stopping

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """What the model is worth before the first step."""
        if state.global_step == 0:
            self.tick(0, note=_note(self.trainer.measure()))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Every `every` steps and at the end: measure and save."""
        note = None
        due = state.global_step % self.trainer.every == 0 or state.global_step >= state.max_steps
        if due or self.trainer.diverged():
            note = _note(self.trainer.measure())
            self.trainer.write_checkpoint()
            control.should_training_stop |= self.trainer.diverged() is not None
        elif self.stopping():
            self.trainer.write_checkpoint()
        if self.stopping():
            control.should_training_stop = True
        self.tick(1, note=note)


def _note(found: dict[str, Any]) -> str:
    loss = found["loss"] if found["loss"] is not None else found["train_loss"]
    return "" if loss is None else f"loss {loss:.3f}"
