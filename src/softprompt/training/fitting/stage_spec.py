"""What one stage of training is made of, and what it ends with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from softprompt.progress import Progress
from softprompt.readouts import Item
from softprompt.sites.kept_texts import KeptTexts
from softprompt.tasks import Task
from softprompt.training.fitting.record import FitRecord
from softprompt.training.fitting.task_model import TaskModel
from softprompt.training.fitting.tracking import FOLDER
from softprompt.training.options import Plan, TrainingOptions


@dataclass(frozen=True)
class Stage:
    """What one fit is made of.

    Attributes:
        name: None for the only stage of a run.
        trained: the prompt and its readout.
        task: for the metrics.
        plan: rates and schedule.
        options: the user's options.
        items: encoded training rows.
        validation: encoded validation rows.
        folder: where checkpoints go.
        seed: of the order of rows and of dropout.
        show: progress.
        stopping: whether the run was asked to stop.
        texts: what is kept of the rows' texts, where the prompt stands behind them; else None.
    """

    name: str | None
    trained: TaskModel
    task: Task
    plan: Plan
    options: TrainingOptions
    items: Sequence[Item]
    validation: Sequence[Item]
    folder: Path
    seed: int
    show: Progress
    stopping: Callable[[], bool]
    texts: KeptTexts | None = None

    @property
    def run(self) -> Path:
        """The folder of its run."""
        return self.folder.parent if self.name is None else self.folder.parent.parent

    @property
    def run_name(self) -> str:
        """What trackers call it: the run's folder, and the stage where there are several."""
        return self.run.name if self.name is None else f"{self.run.name}-{self.name}"

    @property
    def shown_in(self) -> Path:
        """Where a tracker's files go."""
        return self.run / FOLDER / (self.name or "")


@dataclass(frozen=True)
class FittedStage:
    """What a stage ended with, or stopped at.

    Attributes:
        steps: that were taken.
        state: the best finite state, on the CPU; empty where no evaluation was finite.
        extra: what its trainer told besides tensors; see `SoftPromptTrainer.extra`.
    """

    steps: int
    state: dict[str, Tensor]
    extra: FitRecord
