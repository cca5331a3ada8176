"""A training whose method is chosen: by rows that are held out, within minutes, and within bytes that are stored."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Real
from operator import index
from pathlib import Path
from typing import SupportsIndex

from softprompt.backbones.backbone import Backbone, takes_backbone
from softprompt.compare.choice_record import ChoiceRecord
from softprompt.compare.choosing import Choosing
from softprompt.compare.wanted_choice import WantedChoice
from softprompt.errors import SoftPromptError, quoted
from softprompt.files.places import AUTO, CHOICE, RUN, refuse_run
from softprompt.guards.kinds import check_kind
from softprompt.progress import Progress
from softprompt.tasks import Task
from softprompt.training.hold import hold_folder
from softprompt.training.options import TrainingOptions, training_options
from softprompt.training.process import whole_seed
from softprompt.training.run import Run, train
from softprompt.training.run_folder import check_free, output_folder

MINUTES = 10.0
_OWN = ("learning_rate", "init_from")  # what a method has for itself


@dataclass(frozen=True)
class AutoRun:
    """A run whose method was chosen.

    Attributes:
        run: it, as `softprompt.train` gives it.
        choice: what was tried, and why its method was taken.
    """

    run: Run
    choice: ChoiceRecord


@takes_backbone
def train_auto(
    model: Backbone,
    /,
    task: Task,
    options: TrainingOptions | None = None,
    *,
    minutes: float = MINUTES,
    max_bytes: int | None = None,
    seed: int = 13,
    output: str | Path | None = None,
    resume: bool = False,
    progress: bool | Progress = True,
    backbone: str | None = None,
    **named: object,
) -> AutoRun:
    """Choose a method for a task by measuring some on rows that are held out, and train it on all rows.

    Test rows have no part in the choice (`softprompt.compare.choosing`).

    Args:
        model: a `Backbone`, as `load_backbone` gives it, or any transformers model and then its tokenizer.
        task: with its data.
        options: of training, for every method; a rate is not among them, since each method has its own.
        minutes: for the choice and the training, as far as they can be told before.
        max_bytes: that the prompt may store; None for any number.
        seed: of the split, the prompt's first values and the order of rows.
        output: the run's folder; by default `runs/<task>-auto-<seed>`. What was tried stands in `auto` in it.
        resume: go on with the choice or the run that the folder holds.
        progress: whether to show progress, or where.
        backbone: the backbone's name for the records, where it shall have another than its own.
        **named: single ones of the options by their names, such as `max_length=128`.

    Returns:
        The run, and the record of the choice.

    Raises:
        SoftPromptError: a budget in which no method can be trained, a fault in the task, its rows or the options, or a
            folder that holds something else.
        Interrupted: SIGINT or SIGTERM came; `resume=True` goes on.

    Example:
        >>> few = task.with_data([{"text": f"w{place}", "label": str(place % 2)} for place in range(10)])
        >>> made = sp.train_auto(model, tokenizer, few, minutes=60, max_bytes=210, max_steps=1, progress=False)
        >>> made.choice.chosen.label, made.run.record.stored_bytes  # ten rows are too few to measure more than one
        ('prompt_tuning,num_virtual_tokens=1', 200)
    """
    check_kind("train_auto", "task", task, Task)
    show = progress if isinstance(progress, Progress) else Progress(progress)
    chosen, own = training_options(named, options), model.named(backbone)
    check_budget(minutes, max_bytes, chosen)
    seed = whole_seed(seed)
    folder = output_folder(output, f"{task.name}-auto-{seed}")
    _check_folder(folder, resume=resume)
    wanted = WantedChoice(own, task.reading_once(), chosen, seed, folder / AUTO, minutes, max_bytes)
    with _holding(folder):
        choice = Choosing(wanted, show).run()
    one = choice.chosen
    run = train(
        own, task, wanted.method(one), wanted.training(one), seed=seed, output=folder, resume=resume, progress=show
    )
    return AutoRun(run, choice)


def check_budget(minutes: float, max_bytes: int | None, options: TrainingOptions) -> None:
    """Raise `SoftPromptError` where the budget is none, or an option is one that methods have for themselves."""
    if not isinstance(minutes, Real) or not 0 < minutes < 1e6:
        raise SoftPromptError(f"minutes is {quoted(minutes)}: give a number above 0")
    if max_bytes is not None and (not isinstance(max_bytes, SupportsIndex) or index(max_bytes) < 1):
        raise SoftPromptError(f"max_bytes is {quoted(max_bytes)}: give 1 or more, or leave it out")
    for name in _OWN:
        if getattr(options, name) is not None:
            raise SoftPromptError(
                f"{name} is one method's own, and the method is to be chosen: leave it out, or name one"
            )


def _check_folder(folder: Path, *, resume: bool) -> None:
    """Look at what a folder holds before any time is spent.

    Raises:
        SoftPromptError: something else than a choice that shall go on.
    """
    begun, trained = (folder / AUTO / CHOICE).exists(), (folder / RUN).is_file()
    if not resume:
        refuse_run(folder)
    if begun and not resume:
        raise SoftPromptError(
            f"{folder} holds a choice of a method already: go on with it with --resume (resume=True), or choose "
            "another output"
        )
    if trained and not begun:
        raise SoftPromptError(f"{folder} holds a run whose method was named: leave auto out, or choose another output")
    if not trained:
        check_free(folder)


@contextmanager
def _holding(folder: Path) -> Iterator[None]:
    """Keep the choice's folder from other processes; where it came to nothing, nothing is left of it."""
    fresh, place = not folder.exists(), folder / AUTO
    with hold_folder(place):
        try:
            yield
        except SoftPromptError:
            if not (place / CHOICE).exists():
                shutil.rmtree(folder if fresh else place)
            raise
