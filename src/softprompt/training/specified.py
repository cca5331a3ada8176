"""What a run is asked to be becomes what it is made of: everything is settled before its first step."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from types import NoneType

from softprompt.backbones.backbone import Backbone
from softprompt.errors import SoftPromptError
from softprompt.files.places import RUN
from softprompt.guards.kinds import check_kind
from softprompt.methods.base import Method
from softprompt.presets.definition import UsedPreset
from softprompt.progress import Progress
from softprompt.readouts.settled import settled
from softprompt.tasks import Splits, Task
from softprompt.tasks.data.watching import watching
from softprompt.tasks.scoring import check_libraries
from softprompt.training.begun import as_begun, plan_of
from softprompt.training.fitting.tracking import check_trackers
from softprompt.training.heard import check_heard
from softprompt.training.identity import identity_of
from softprompt.training.lengths import long_enough, told_length
from softprompt.training.options import TrainingOptions
from softprompt.training.preset import with_preset
from softprompt.training.run_folder import output_folder
from softprompt.training.setup import RunSpec, completed, readout_spec


@dataclass(frozen=True)
class WantedRun:
    """What a run is asked to be, as `softprompt.train` has it.

    Attributes:
        task: with its data.
        method: a method, its name, or None for the default one.
        options: of training, the user's.
        seed: of the split, the first values and the order of rows.
        output: the run's folder, or None for the usual one.
        resume: go on with the run that the folder holds.
        preset: a paper's settings, or what a run recorded of them.
    """

    task: Task
    method: Method | str | None
    options: TrainingOptions
    seed: int
    output: str | Path | None = None
    resume: bool = False
    preset: str | Path | UsedPreset | None = None


def specified(backbone: Backbone, wanted: WantedRun, show: Progress) -> RunSpec:
    """Settle a run; nothing is written.

    Args:
        backbone: the frozen model, under the name that the records have.
        wanted: what is asked for.
        show: told of the reading of rows, and of the run's own progress.

    Raises:
        SoftPromptError: a fault in the task, its rows or the options.
    """
    check_kind("train", "task", wanted.task, Task)
    check_kind("train", "method", wanted.method, (Method, str, NoneType))
    check_kind("train", "preset", wanted.preset, (str, PathLike, UsedPreset, NoneType))
    made = with_preset(wanted.preset, backbone, wanted.task, wanted.method, wanted.options)
    task = made.task
    check_libraries(task)
    check_trackers(made.options.report_to)
    with watching(show.work):
        splits = task.splits(wanted.seed)
    check_splits(task, splits)
    method, chosen, told = completed(backbone, task, made.method, made.options, len(splits.train))
    folder = output_folder(wanted.output, f"{task.name}-{method.name}-{wanted.seed}")
    spec = long_enough(readout_spec(backbone.model, task, method, chosen), chosen, backbone, task, method, splits)
    spec = settled(as_begun(spec, chosen, folder) if wanted.resume else spec, task, backbone)
    if not (wanted.resume and (folder / RUN).is_file()):  # one that was begun goes on as it is
        check_heard(method, [spec.name], wanted.options)
    told = (*made.told, *told, *told_length(spec, chosen))
    plan = plan_of(backbone, method, chosen, folder if wanted.resume else None, made.source)
    identity = identity_of(backbone, task, method, chosen, spec, splits, plan)
    identity |= made.recorded()
    return RunSpec(backbone, task, method, chosen, spec, splits, identity, folder, show, plan, told, made)


def check_splits(task: Task, splits: Splits) -> None:
    """Make sure that there is something to train on and to choose by.

    Raises:
        SoftPromptError: there is not.
    """
    for name, rows in (("training", splits.train), ("validation", splits.validation)):
        if not rows:
            raise SoftPromptError(f"task {task.name!r} has no {name} rows: give data with more rows, or lower shots")
