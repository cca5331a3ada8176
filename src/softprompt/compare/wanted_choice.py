"""What a method is chosen for, and what a method of the shortlist costs there."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from softprompt.backbones.backbone import Backbone
from softprompt.compare.choice_record import ChoiceRecord, Tried, read_choice
from softprompt.compare.folding import FOLDS, usual_folds
from softprompt.compare.outlook import expected, paces
from softprompt.compare.shortlist import Candidate, PassedOver, Terms, shortlist
from softprompt.errors import SoftPromptError
from softprompt.files.places import CHOICE
from softprompt.methods.base import Method
from softprompt.methods.registry import method as method_of
from softprompt.progress import Progress
from softprompt.tasks import Task
from softprompt.tasks.data.folds import Fold, of_fold
from softprompt.tasks.row_hash import RowsHash
from softprompt.training.identity import run_difference
from softprompt.training.options import TrainingOptions, training_options
from softprompt.training.specified import WantedRun, specified


@dataclass(frozen=True)
class WantedChoice:
    """What a method is chosen for.

    Attributes:
        backbone: the frozen model, under the name that the records have.
        task: with its data.
        options: of training, the user's.
        seed: of the split, the first values and the order of rows.
        folder: of the choice.
        minutes: for the choice and the run after it.
        max_bytes: that the prompt may store; None for any number.
    """

    backbone: Backbone
    task: Task
    options: TrainingOptions
    seed: int
    folder: Path
    minutes: float
    max_bytes: int | None

    def begun(self) -> ChoiceRecord:
        """The record of the choice in the folder, or of one that begins.

        Raises:
            SoftPromptError: the folder holds another choice, or no method comes into question.
        """
        asked = self._identity()
        if (self.folder / CHOICE).exists():
            known = read_choice(self.folder)
            differs = run_difference(known.asked, asked, finished=True)
            if differs is not None:
                raise SoftPromptError(f"{self.folder} holds {differs}")
            return known.model_copy(update={"minutes": self.minutes})
        wanted = Terms(self.options, len(self.task.splits(self.seed).train), self.max_bytes)
        entries, left = shortlist(self.backbone, self.task, wanted)
        if not entries:
            raise SoftPromptError(self._none(left))
        return ChoiceRecord(
            asked=asked,
            minutes=self.minutes,
            metric=self.task.metric,
            folds=usual_folds(self.task, self.seed),
            tried=tuple(_open(one) for one in entries),
            left_out=tuple(left),
        )

    def _none(self, left: list[PassedOver]) -> str:
        """Why no method comes into question."""
        sizes = [one for one in left if one.stored_bytes is not None]
        if not sizes:
            return f"no method comes into question: {left[0].method}: {left[0].why}"
        least = min(sizes, key=lambda one: one.stored_bytes or 0)
        return (
            f"max_bytes is {self.max_bytes:,}, and no method stores so little: the least is {least.stored_bytes:,}, by "
            f"{least.method}: give as many"
        )

    def _identity(self) -> dict[str, JsonValue]:
        """What makes two choices the same one; the time is not in it."""
        splits = self.task.splits(self.seed)
        parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
        return {
            "seed": self.seed,
            "max_bytes": self.max_bytes,
            "task_definition": self.task.model_dump(mode="json"),
            "training_options": self.options.model_dump(mode="json", exclude_unset=True),
            "rows": {part: RowsHash.of(rows).model_dump(mode="json") for part, rows in parts.items()},
            "fingerprint": self.backbone.fingerprint.model_dump(mode="json"),
        }

    def why_no_folds(self) -> str:
        """Why the rows cannot be divided into folds; nothing where they can."""
        try:
            self.fold(0).splits(self.seed)
        except SoftPromptError as error:
            return str(error)
        return ""

    def fold(self, place: int) -> Task:
        """The task with a fold of its rows held out, whose test rows they are."""
        assert self.task.source is not None
        return self.task.with_source(of_fold(self.task.source, Fold(place, FOLDS)))

    def method(self, one: Candidate) -> Method:
        """A method with its options."""
        return method_of(one.method, **one.method_options)

    def training(self, one: Candidate) -> TrainingOptions:
        """The options of its training: the user's, and what is set beside them."""
        return training_options(one.training_options, self.options)

    def looked(self, one: Tried) -> Tried:
        """A method whose costs were measured, or what is wrong with it."""
        started, tasks = time.monotonic(), [self.task]
        if not self.why_no_folds():
            tasks.append(self.fold(0))
        wanted = [WantedRun(task, self.method(one), self.training(one), self.seed, self.folder) for task in tasks]
        try:
            whole, *folds = [specified(self.backbone, each, Progress(False)) for each in wanted]
            part = folds[0] if folds else whole
            found = paces(part, started)
        except SoftPromptError as error:
            return one.model_copy(update={"state": "failed", "why": str(error)})
        costs = {"fold_seconds": expected(part, found).seconds, "run_seconds": expected(whole, found).seconds}
        return one.model_copy(update=costs)


def _open(one: Candidate) -> Tried:
    return Tried.model_validate(one.model_dump())
