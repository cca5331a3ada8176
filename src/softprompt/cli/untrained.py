"""What `evaluate` scores: the prompt of a run, or without one a method's before its first step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from softprompt.cli.common import open_prompt
from softprompt.cli.guessing import Columns, task_of
from softprompt.cli.scoring import Stored, Wanted
from softprompt.cli.settings import check_names, split_options
from softprompt.errors import SoftPromptError

if TYPE_CHECKING:
    from pydantic import JsonValue

    from softprompt.methods.base import Method
    from softprompt.progress import Progress
    from softprompt.storage.prompt import Prompt
    from softprompt.tasks import Task
    from softprompt.training.options import TrainingOptions


@dataclass(frozen=True)
class Trained:
    """The prompt of a run, and where its backbone is now."""

    run: Path
    backbone: str | None

    def asking(self, wanted: Wanted) -> Wanted:
        """The rows that are wanted."""
        return wanted

    def stored(self) -> Stored:
        """What is known of the prompt before its backbone is loaded; see `Stored.of`."""
        return Stored.of(self.run)

    def prompt(self, dtype: str, device: str | None, show: Progress, *, int8: bool = False) -> Prompt:
        """The prompt, its backbone loaded; see `open_prompt`."""
        return open_prompt(self.run, self.backbone, dtype, device, int8=int8)

    def record(self, prompt: Prompt) -> dict[str, JsonValue]:
        """What JSON tells of the prompt: its run does."""
        return {}

    def called(self, prompt: Prompt) -> str:
        """What it is called."""
        return prompt.method.name


@dataclass(frozen=True)
class Untrained:
    """What stands in the place of a run.

    Attributes:
        backbone: a name.
        task: a name, a YAML file, or None for that of the table.
        template: a name of one of its patterns, a text, or None.
        method: a name.
        pairs: of `--set`.
        columns: of a table without a task.
        data: the rows, of which a table may tell the task.
        encoding: of text files.
        seed: of values that are drawn, or None for the usual one.
    """

    backbone: str | None
    task: str | None
    template: str | None
    method: str | None
    pairs: list[str]
    columns: Columns
    data: Path | None
    encoding: str | None
    seed: int | None

    def check(self, run: Path | None) -> None:
        """Look for faults before torch is imported.

        Raises:
            BadParameter: something is left out.
            SoftPromptError: there is a run, too, or no such method or option.
        """
        given = {"--method": self.method, "--template": self.template, "--set": self.pairs or None}
        if run is not None:
            more = [name for name, value in given.items() if value is not None]
            if more:
                raise SoftPromptError(
                    f"{run} is scored as it was trained: leave {', '.join(more)} out, or RUN, to score a prompt "
                    "before its training"
                )
            return
        missing = [name for name, value in (("--backbone", self.backbone), ("--method", self.method)) if value is None]
        if missing:
            raise typer.BadParameter(f"no {', '.join(missing)}: give RUN, or --backbone and --method to score without")
        check_names(self.pairs, self.method or "")

    @cached_property
    def settings(self) -> tuple[Method, TrainingOptions]:
        """The method and the options of training."""
        return split_options(self.pairs, self.method or "")

    @cached_property
    def loaded(self) -> Task:
        """The task, without rows."""
        columns = self.columns if self.task is None else Columns()
        return task_of(self.task, columns, self.data, template=self.template, encoding=self.encoding)

    @property
    def drawn_by(self) -> int:
        """The seed of values that are drawn."""
        return 13 if self.seed is None else self.seed

    def asking(self, wanted: Wanted) -> Wanted:
        """The same rows of the prompt's own task, whose template and columns are settled here."""
        return replace(wanted, task=None, columns=Columns() if self.task is None else self.columns)

    def stored(self) -> Stored:
        """What is known of the prompt before its backbone is loaded.

        Raises:
            SoftPromptError: no such task or method, or one that looks at rows before it trains.
        """
        task = self.loaded
        from softprompt.training.untrained import check_untrained, seen_by_none

        method = self.settings[0]
        check_untrained(method)
        return Stored(task, seen_by_none(task, method, self.drawn_by), self.seed, method)

    def prompt(self, dtype: str, device: str | None, show: Progress, *, int8: bool = False) -> Prompt:
        """The prompt, its backbone loaded; what a guess found and whether its values are drawn is told.

        Raises:
            SoftPromptError: the backbone cannot be loaded, or there is nothing to ask without a training.
        """
        from softprompt.backbones.load import load_backbone
        from softprompt.training.untrained import is_drawn, untrained

        method, training = self.settings
        for note in self.loaded.notes if self.task is None else ():
            show.say(note)
        frozen = load_backbone(self.backbone or "", dtype=dtype, device=device, int8=int8)
        made = untrained(frozen, self.loaded, method, training, seed=self.drawn_by)
        if is_drawn(made):
            show.say(f"{method.name} starts from values that seed {self.drawn_by} draws: another answers otherwise")
        return made

    def record(self, prompt: Prompt) -> dict[str, JsonValue]:
        """What JSON tells of the prompt."""
        from softprompt.backbones.source import name_alone

        return {"untrained": True, "method": prompt.method.name, "backbone": name_alone(self.backbone or "")}

    def called(self, prompt: Prompt) -> str:
        """What it is called; where nothing is ever trained, that goes without saying."""
        return f"untrained {prompt.method.name}" if prompt.method.trains() else prompt.method.name
