"""Teachers: prompts that were trained on one task alone, and what they make of its training rows.

A teacher is frozen and rests, so that it answers each row once, before the first step, in its own words and by its own
readout: it may be of any method.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from softprompt.attached.attach import attach
from softprompt.errors import SoftPromptError
from softprompt.files.places import folder_of
from softprompt.inference.predict import predict
from softprompt.storage.prompt import load
from softprompt.storage.seen import seen_of
from softprompt.tasks import Task
from softprompt.tasks.seen import SeenRows
from softprompt.training.options import TrainingOptions
from softprompt.training.setup import RunSpec

Taught = tuple[float, ...]  # a row's probability of each class


def check_teachers(
    tasks: Sequence[Task], teachers: Mapping[str, str | Path], distillation: float, options: TrainingOptions
) -> None:
    """Make sure that teachers have something to teach, and that what is asked of them has a part.

    Raises:
        SoftPromptError: it has none.
    """
    by_name = {task.name: task for task in tasks}
    strange = next((name for name in teachers if name not in by_name), None)
    if strange is not None:
        raise SoftPromptError(f"teachers: {strange!r} is none of the tasks: {', '.join(by_name)}")
    other = next((name for name in teachers if by_name[name].kind != "classification"), None)
    if other is not None:
        raise SoftPromptError(f"teachers: task {other!r} has no classes whose probabilities could be learned")
    if not (math.isfinite(distillation) and distillation >= 0):
        raise SoftPromptError(f"distillation: {distillation} is no weight: give a number of 0 or more")
    if distillation != 1 and not teachers:
        raise SoftPromptError("distillation is the weight of what is learned from teachers: name one, or leave it out")
    if teachers and options.z_loss:
        raise SoftPromptError("z_loss has no part in what is learned beside a teacher: leave it or the teachers out")


def taught_by(place: str, spec: RunSpec) -> list[Taught]:
    """The probabilities of the classes of each training row of a task, as its teacher has them.

    Args:
        place: the folder of the teacher's prompt.
        spec: the run of the task.

    Raises:
        SoftPromptError: no prompt there, one of another backbone, or of a task with other labels or fields.
    """
    task, teacher = spec.task, load(place, spec.backbone)
    own, readout = teacher.task, teacher.readout
    if own is None or readout is None or own.labels != task.labels:
        raise SoftPromptError(f"{place}: a prompt for other labels than task {task.name!r} has")
    strange = [field for field in own.fields if field not in task.fields]
    if strange:
        raise SoftPromptError(
            f"{place}: a prompt that reads the field {strange[0]!r}, which task {task.name!r} has not: train its "
            "teacher on rows of the same fields"
        )
    rows, name = spec.splits.train, task.name
    work = spec.show.work(f"answers of the teacher of {name}", len(rows), "rows")
    with attach(spec.backbone, {name: teacher.producer}) as prompted, work as tick:
        found = predict(prompted, readout, rows, batch_size=spec.options.eval_batch_size, tick=tick)
    order = [own.label_values.index(value) for value in task.label_values]
    return [tuple((one.probabilities or ())[place] for place in order) for one in found]


def seen_by(teachers: Mapping[str, str]) -> list[SeenRows]:
    """The rows that teachers were trained and chosen on: through their answers others learn of them."""
    return [seen_of(folder_of(Path(place))) for place in teachers.values()]
