"""Several tasks in one run: from their rows to a stored prompt a task, and one that a further task may start from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any

from softprompt.backbones.backbone import Backbone, takes_backbone
from softprompt.errors import SoftPromptError
from softprompt.files.places import METRICS, RUN, TASKS
from softprompt.files.written import check_whole
from softprompt.guards.kinds import check_kind, several
from softprompt.methods.base import Method
from softprompt.methods.registry import method_given
from softprompt.progress import Progress
from softprompt.ranks import one_process
from softprompt.readouts.settled import settled
from softprompt.tasks import Task
from softprompt.tasks.data.watching import watching
from softprompt.tasks.scoring import check_libraries
from softprompt.training.begun import plan_of
from softprompt.training.finished import damage
from softprompt.training.fitting.tracking import check_trackers
from softprompt.training.heard import check_heard
from softprompt.training.hold import hold_folder
from softprompt.training.identity import identity_of
from softprompt.training.lengths import long_enough
from softprompt.training.multitask.joint import Joint
from softprompt.training.multitask.parts import SHARED
from softprompt.training.multitask.teachers import check_teachers
from softprompt.training.options import Plan, TrainingOptions, training_options
from softprompt.training.preset import Applied
from softprompt.training.process import alone, reproducible, whole_seed
from softprompt.training.ranked import no_shard
from softprompt.training.run import Run, open_run
from softprompt.training.run_folder import check_same, leaving_nothing, output_folder, take_folder
from softprompt.training.setup import PROMPT, STATE, RunSpec, readout_spec
from softprompt.training.specified import check_splits


@dataclass(frozen=True)
class MultitaskRun:
    """A finished run of several tasks.

    Attributes:
        folder: where its files are.
        runs: that of each task, by the task's name.
        shared: the folder of the prompt that a further task may start from (`init_from`).
    """

    folder: Path
    runs: dict[str, Run]

    @property
    def shared(self) -> Path:
        """See the class."""
        return self.folder / SHARED


@takes_backbone
@alone()
def train_multitask(
    model: Backbone,
    /,
    tasks: Sequence[Task],
    method: Method | str,
    options: TrainingOptions | None = None,
    *,
    seed: int = 13,
    output: str | Path | None = None,
    teachers: Mapping[str, str | Path] | None = None,
    distillation: float = 1.0,
    resume: bool = False,
    progress: bool | Progress = True,
    backbone: str | None = None,
    **named: Any,
) -> MultitaskRun:
    """Train one method on several tasks together over a frozen model, and store a prompt for each.

    Tasks share all of the prompt, or what of it the method says (`per_task`); readouts are each task's own. Batches
    are drawn from all rows as from those of one task, so that tasks count by their rows; the best state is that with
    the highest mean of the tasks' main metrics.

    Args:
        model: a `Backbone`, or any transformers model and then its tokenizer.
        tasks: two or more, each with its data and a name of its own.
        method: a method that is trained in one fit, or its name.
        options: of training.
        seed: of the splits, the prompt's first values and the order of rows.
        output: the run's folder; by default `runs/multitask-<method>-<seed>`.
        teachers: by a task's name the folder of a prompt that was trained on it alone, from which it learns, too (MPT).
        distillation: the weight of what it learns so, 0 or more.
        resume: go on with the run that the folder holds.
        progress: whether to show progress, or where.
        backbone: the backbone's name for the records, where it shall have another than its own.
        **named: single options of training by their names; none that `options` gives, too.

    Returns:
        The run. A task's own stands in `tasks/<name>`, and `shared` holds what a further task may start from.

    Raises:
        SoftPromptError: a fault in a task, its rows or the options (one that no task's part hears is one), or a folder
            that holds another run.
        Diverged: the loss did not stay finite; nothing is stored.
        Interrupted: SIGINT or SIGTERM came; the training state is written, and `resume=True` goes on.

    Example:
        >>> several = [task, task.model_copy(update={"name": "again"})]
        >>> done = sp.train_multitask(model, tokenizer, several, "mpt", output="runs/both", max_steps=2, progress=False)
        >>> len(done.runs), (done.shared / "prompt.safetensors").is_file()
        (2, True)
    """
    one_process("train_multitask")
    own, chosen, seed = model.named(backbone), training_options(named, options), whole_seed(seed)
    no_shard(chosen)
    made, tasks = method_given("train_multitask", method), several("train_multitask", "tasks", tasks, Task)
    check_kind("train_multitask", "teachers", teachers, (Mapping, NoneType))
    _check(made, tasks)
    check_trackers(chosen.report_to)
    check_teachers(tasks, teachers or {}, distillation, chosen)
    show = progress if isinstance(progress, Progress) else Progress(progress)
    folder = output_folder(output, f"multitask-{made.name}-{seed}")
    plan = plan_of(own, made, chosen, folder if resume else None)
    with watching(show.work):
        specs = [_spec(own, made, plan, Applied(task, made, chosen), seed, folder, show) for task in tasks]
    if not (resume and (folder / RUN).is_file()):
        check_heard(made, [spec.readout_spec.name for spec in specs], chosen)
    run = Joint(specs, folder, {name: str(place) for name, place in (teachers or {}).items()}, distillation)
    with hold_folder(folder) as fresh, leaving_nothing(folder, fresh):
        identity = run.identity()
        if take_folder(folder, identity, resume):
            damaged = _damaged(run)
            if damaged is None:
                show.say(f"{folder}: this run is finished already")
                return MultitaskRun(folder, {spec.task.name: open_run(spec.folder, own) for spec in specs})
            check_same(folder, identity, finished=False)
            show.say(f"{damaged}; made again from {folder / STATE}")
        with reproducible(seed, chosen.threads):
            return MultitaskRun(folder, run.train())


def _check(method: Method, tasks: Sequence[Task]) -> None:
    names = [task.name for task in tasks]
    if len(names) < 2:
        raise SoftPromptError("several tasks are trained together: give two or more, or take train")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SoftPromptError(f"two tasks are named {twice!r}: give each a name of its own")
    odd = next((name for name in names if name == ".." or Path(name).name != name), None)
    if odd is not None:  # what is not in the folder's own place is found by no table, or stands in another's
        raise SoftPromptError(f"a task is named {odd!r}, and its run goes to a folder of that name: give a plain one")
    if not method.continues():
        raise SoftPromptError(f"method {method.name!r} is not trained in one fit: choose another for several tasks")
    for task in tasks:
        check_libraries(task)


def _damaged(run: Joint) -> str | None:
    """What of a finished run is not as it was written, in a line; None where all is."""
    faults = (damage(spec.folder / METRICS, spec.folder / PROMPT) for spec in run.specs)
    fault = next((one for one in faults if one is not None), None)
    if fault is not None:
        return fault
    try:
        check_whole(run.folder / SHARED)
    except SoftPromptError as error:
        return str(error)
    return None


def _spec(own: Backbone, method: Method, plan: Plan, made: Applied, seed: int, folder: Path, show: Progress) -> RunSpec:
    """What a task's own run would be made of."""
    task, options = made.task, made.options
    splits = task.splits(seed)
    check_splits(task, splits)
    spec = long_enough(readout_spec(own.model, task, method, options), options, own, task, method, splits)
    spec = settled(spec, task, own)
    identity = identity_of(own, task, method, options, spec, splits, plan)
    place = output_folder(folder / TASKS / task.name)
    return RunSpec(own, task, method, options, spec, splits, identity, place, show, plan, (), made)
