"""transformers' Trainer, with our loss, our evaluation and checkpoints that no pickle enters."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.optimization import Adafactor

from softprompt.evaluation.score import Scores, figure, loss_of, metrics_of, score
from softprompt.inference.batches import to_device
from softprompt.inference.prefilled import PrefilledItem
from softprompt.ranks import here
from softprompt.readouts import Batch, Item
from softprompt.sites.modes import evaluating
from softprompt.sites.producer import Producer
from softprompt.tasks import Task
from softprompt.training.divergence import Guard, NotFinite, unsound
from softprompt.training.fitting import checkpoint
from softprompt.training.fitting.best import BestState
from softprompt.training.fitting.frozen_states import PooledItem, collate_kept
from softprompt.training.fitting.record import FitRecord, load_extra
from softprompt.training.fitting.resumable import ResumableTrainer, arguments
from softprompt.training.fitting.shares import Shares
from softprompt.training.fitting.stage_spec import Stage
from softprompt.training.fitting.t5x_adafactor import t5x_adafactor
from softprompt.training.fitting.task_model import TaskModel
from softprompt.training.fitting.tracking import reported, trackers

WEIGHT = "weight"  # in a batch: what this rank's part of it counts

OnStep = Callable[[int, int, str | None], None]


class SoftPromptTrainer(ResumableTrainer):
    """Trainer over a `TaskModel`.

    Args:
        stage: what it is made of.
        on_step: called after every step with (step, steps, what to show beside the progress or None).
    """

    trained: TaskModel

    def __init__(self, stage: Stage, on_step: OnStep) -> None:
        """See the class."""
        self.trained, self.plan, self.options, self.task = stage.trained, stage.plan, stage.options, stage.task
        self.folder, self.metric, self.named = stage.folder, stage.task.metric, stage.run_name
        self.validation, self.shares = list(stage.validation), Shares(stage.seed, stage.stopping)
        self.selection = BestState()
        self.seconds_before = 0.0
        self.history: list[Scores] = []
        self.losses, self.guard = [], Guard()
        self.every = max(1, round(self._steps(len(stage.items)) / self.options.evaluations))
        super().__init__(
            model=self.trained,
            args=self._arguments(stage.seed),
            train_dataset=list(stage.items),
            data_collator=self._collate,
        )
        self.prepare()
        for tracker in trackers(self.options.report_to if here().leads else (), stage.shown_in):
            self.add_callback(tracker)
        self.add_callback(_Steps(self, on_step))
        self.started = time.monotonic()

    def _arguments(self, seed: int) -> TrainingArguments:
        plan, options = self.plan, self.options
        return arguments(
            self.folder,
            next(self.trained.parameters()).device,
            seed,
            run_name=self.named,
            num_train_epochs=plan.epochs,
            max_steps=options.max_steps or -1,
            per_device_train_batch_size=plan.batch_size,
            gradient_accumulation_steps=options.accumulate,
            learning_rate=plan.learning_rate,
            lr_scheduler_type=plan.schedule,
            warmup_steps=plan.warmup_ratio,
            weight_decay=plan.weight_decay,
            max_grad_norm=options.max_grad_norm,
        )

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """The readout's loss; on one of several ranks what its part of the batch counts."""
        states_below, weight = inputs.pop("states_below", None), inputs.pop(WEIGHT, None)
        prompted = self.trained.prompted
        with self.chance(), nullcontext() if states_below is None else prompted.starting_at_layer(states_below):
            loss: Tensor = model(to_device(inputs, prompted))
        return self.counted(loss, loss, weight)

    def chance(self) -> AbstractContextManager[None]:
        """Each rank's own dropout in a call of the model."""
        return self.shares.chance(self.state.global_step)

    def counted(self, loss: Tensor, whole: Tensor, weight: float | None) -> Tensor:
        """Remember a batch's loss, and give what is to be minimised its weight.

        Args:
            loss: of the readout, a scalar.
            whole: with what a course adds to it.
            weight: of this rank's part of the batch; None where it has all of it.
        """
        if weight is None:
            self.remember(loss)
            return whole
        return self.shares.weighted(loss, whole, weight)

    def training_step(self, model: nn.Module, inputs: Batch, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        """Forward and backward of a batch; behind a step's last one the ranks' gradients are added up."""
        loss = super().training_step(model, inputs, num_items_in_batch)
        if self.shares.several and self.accelerator.sync_gradients:
            for value in self.shares.add_up([one for one in self.trained.parameters() if one.requires_grad]):
                self.remember(torch.tensor(value))
        return loss

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """The prompt's parameters, one group a learning rate that it asks for, and the head's."""
        if self.optimizer is not None:
            return self.optimizer
        by_rate: dict[float, list[nn.Parameter]] = {1.0: []}
        seen = set[nn.Parameter]()  # prompts of several tasks share some
        for producer in self.trained.prompted.prompts:
            assert isinstance(producer, Producer)
            rates = producer.rates()
            for name, parameter in producer.named_parameters():
                if parameter.requires_grad and parameter not in seen:
                    seen.add(parameter)
                    by_rate.setdefault(rates.get(name, 1.0), []).append(parameter)
        head = [p for p in self.trained.readout.parameters() if p.requires_grad]
        rate, decay = self.plan.learning_rate, self.plan.weight_decay
        groups = [{"params": own, "lr": rate * times, "weight_decay": decay} for times, own in by_rate.items()]
        groups.append({"params": head, "lr": self.plan.head_learning_rate, "weight_decay": 0.0})
        groups = [group for group in groups if group["params"]]
        if self.plan.optimizer == "adafactor_t5x":
            self.optimizer = t5x_adafactor(groups)
        elif self.plan.optimizer == "adafactor":
            # Lester et al., appendix A: no relative step, no parameter scaling.
            self.optimizer = Adafactor(groups, relative_step=False, scale_parameter=False, warmup_init=False)
        else:
            self.optimizer = torch.optim.AdamW(groups)
        return self.optimizer

    def evaluate_and_keep(self) -> Scores:
        """Evaluate on the validation rows and keep the state if it is the best."""
        self.guard.check_parameters(self.trained.named_parameters(), self.state.global_step)
        metrics = self._measure()
        self.selection.offer(metrics, self.metric, self.state.global_step, self.trained)
        train_loss = sum(self.losses) / len(self.losses) if self.losses else None
        self.losses.clear()
        self.history.append({"step": self.state.global_step, "train_loss": train_loss, **metrics})
        if self.options.report_to:
            assert self.lr_scheduler is not None
            told = reported(train_loss, float(self.lr_scheduler.get_last_lr()[0]), metrics)
            self.callback_handler.on_log(self.args, self.state, self.control, told)
        return metrics

    @classmethod
    def passes(cls, stage: Stage) -> int:
        """Forward passes of a step whose tensors are kept until its one backward pass."""
        return 1

    def after_step(self) -> None:
        """Called after every step, before anything is looked at or written."""

    def note(self, metrics: Scores | None) -> str | None:
        """What progress shows after a step, whose evaluation `metrics` is; None leaves what is shown."""
        main = self.metric
        if metrics is None:
            return None
        return f"validation {main} {figure(metrics, main):.3f}, loss {figure(metrics, 'loss'):.3f}"

    def seconds(self) -> float:
        """Training time so far, over interruptions."""
        return self.seconds_before + time.monotonic() - self.started

    def finished(self) -> bool:
        """Whether no step is left: all are done, or nothing got better for long enough."""
        return self._ended() or self.guard.over(last=False)

    def diverged(self) -> NotFinite | None:
        """What was not finite, if that ended the training or leaves no state of it."""
        if self.guard.over(last=self._ended()):
            return self.guard.fault
        if self.finished() and not self.selection.state:
            return unsound(self.state.global_step, "validation loss", loss_of(self.history[-1]))
        return None

    def extra(self) -> FitRecord:
        """What a checkpoint holds besides tensors, as JSON; sub-classes may add to it."""
        return {
            "best_metrics": self.selection.metrics,
            "best_step": self.selection.step,
            "stale": self.selection.stale,
            "seconds": self.seconds(),
            "history": self.history,
            "losses": list(self.losses),
            "finished": self.finished(),
            "diverged": self.diverged(),
            "guard": self.guard.state(),
        }

    def take_extra(self, extra: FitRecord) -> None:
        """Take what `extra` gave when a checkpoint is read."""
        self.selection.metrics, self.selection.step = extra["best_metrics"], extra["best_step"]
        self.selection.stale = extra["stale"]
        self.seconds_before, self.history = extra["seconds"], extra["history"]
        self.losses = [math.nan if loss is None else loss for loss in extra["losses"]]
        self.guard.take(extra["guard"])

    def write_checkpoint(self) -> Path:
        """Write the training state."""
        return checkpoint.write(self.folder, self.training_state(), self.selection.state, self.extra())

    def _ended(self) -> bool:
        return self.selection.stale >= self.options.patience or self.state.global_step >= self.state.max_steps

    def _measure(self) -> Scores:
        rows = [item.row for item in self.validation]
        if all(isinstance(item, PooledItem) for item in self.validation):
            return _measure_kept(self.trained, self.task, self.validation)
        return metrics_of(
            self.trained.prompted,
            self.trained.readout,
            self.task,
            rows,
            batch_size=self.options.eval_batch_size,
            items=self.validation,
        )

    def _collate(self, items: list[Item]) -> Batch:
        items, weight = self.shares.of(self.trained.readout, items)
        whole: Batch = {} if weight is None else {WEIGHT: weight}
        if all(isinstance(item, PooledItem) for item in items):
            return {**collate_kept(self.trained.readout, items), **whole}
        batch = self.trained.readout.collate(items, train=True)
        states_below = [item.states_below for item in items if isinstance(item, PrefilledItem)]
        return {**batch, **whole, **({"states_below": states_below} if states_below else {})}

    def _steps(self, rows: int) -> int:
        batches = -(-rows // self.plan.batch_size)
        return self.options.max_steps or self.plan.epochs * -(-batches // self.options.accumulate)

    def load_trained(self, folder: Path) -> None:
        """Read the prompt, its best state and what was measured."""
        checkpoint.load_model(folder, self.trained)
        self.selection.state = checkpoint.load_best(folder)
        self.take_extra(load_extra(folder))


def _measure_kept(model: TaskModel, task: Task, items: Sequence[Item]) -> Scores:
    """As `metrics_of`, from states that are kept."""
    with evaluating(model), torch.inference_mode():
        batch = to_device(collate_kept(model.readout, items), model.prompted)
        return score(task, [item.row for item in items], model.readout.answer(model.prompted, batch))


class _Steps(TrainerCallback):
    """Looks at the validation rows, writes checkpoints and tells progress."""

    def __init__(self, trainer: SoftPromptTrainer, on_step: OnStep) -> None:
        self.trainer, self.on_step = trainer, on_step

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """Before the first step the untrained prompt is a candidate, too."""
        if state.global_step == 0:
            self.on_step(0, state.max_steps, self.trainer.note(self.trainer.evaluate_and_keep()))
        self.trainer.trained.train()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """Every `every` steps and at the end: evaluate, save, and stop when nothing gets better."""
        self.trainer.after_step()
        metrics = None
        due = state.global_step % self.trainer.every == 0 or state.global_step >= state.max_steps
        if due or self.trainer.finished():
            metrics = self.trainer.evaluate_and_keep()
            self.trainer.trained.train()
            control.should_training_stop |= self.trainer.finished()
            self.trainer.write_checkpoint()
        elif self.trainer.shares.stops():
            self.trainer.write_checkpoint()
        if self.trainer.shares.stops():
            control.should_training_stop = True
        self.on_step(state.global_step, state.max_steps, self.trainer.note(metrics))
