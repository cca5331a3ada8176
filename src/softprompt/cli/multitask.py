"""`softprompt multitask`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softprompt.cli.common import check_rows, counted, emit, interval, quiet, table, tell
from softprompt.cli.completing import methods_by_name, tasks_by_name
from softprompt.cli.options import (
    BackboneName,
    Device,
    Dtype,
    Epochs,
    LearningRate,
    MaxLength,
    MaxTestRows,
    MetricsJson,
    Quiet,
    Resume,
    RowsAStep,
    RunOut,
    Set,
    Shots,
)
from softprompt.cli.settings import split_options, with_named
from softprompt.errors import SoftPromptError, quoted
from softprompt.guards.paths import folder_for

if TYPE_CHECKING:
    from softprompt.tasks import Task
    from softprompt.training.multitask.run import MultitaskRun

MethodName = Annotated[
    str, typer.Option(help="a method that is trained in one fit (softprompt methods)", autocompletion=methods_by_name)
]
TaskNames = Annotated[
    list[str], typer.Option("--task", help="a task's name or a YAML file; repeat", autocompletion=tasks_by_name)
]
TasksData = Annotated[
    list[Path] | None, typer.Option("--data", help="the rows of the task in the same place; default: the hub; repeat")
]
Teachers = Annotated[
    list[str] | None,
    typer.Option(
        "--teacher", help="a prompt that was trained on one task alone and teaches it; repeat", metavar="TASK=RUN"
    ),
]
Distillation = Annotated[float, typer.Option(help="the weight of what is learned from teachers")]
Seed = Annotated[int, typer.Option(help="of the splits, the first values and the order of rows")]


def multitask(
    backbone: BackboneName,
    method: MethodName,
    task: TaskNames,
    out: RunOut,
    data: TasksData = None,
    teacher: Teachers = None,
    distillation: Distillation = 1.0,
    set_: Set = None,
    learning_rate: LearningRate = None,
    epochs: Epochs = None,
    batch_size: RowsAStep = None,
    max_length: MaxLength = None,
    shots: Shots = None,
    seed: Seed = 13,
    max_test_rows: MaxTestRows = None,
    dtype: Dtype = "auto",
    device: Device = None,
    resume: Resume = False,
    json: MetricsJson = False,
    silent: Quiet = False,
) -> None:
    """Train one method on several tasks together, and store a prompt for each and one to start further tasks from.

    Example: softprompt multitask --backbone X --method p_tuning_v2 --task sst2 --task mrpc --out runs/both
    """
    quiet(silent=silent)
    folder_for(out, "--out")
    named = {"learning_rate": learning_rate, "epochs": epochs, "batch_size": batch_size, "max_length": max_length}
    chosen, training = split_options(with_named(set_, **named), method)
    teachers = _teachers(teacher or [])
    tasks = _tasks(task, data or [], shots, max_test_rows)
    for one in tasks:
        check_rows(one, [seed], silent=silent)
    from softprompt.backbones.load import load_backbone
    from softprompt.training.multitask.run import train_multitask

    frozen = load_backbone(backbone, dtype=dtype, device=device)
    taught = partial(train_multitask, teachers=teachers, distillation=distillation)
    done = taught(frozen, tasks, chosen, training, seed=seed, output=out, resume=resume, progress=not silent)
    _report(done, json)


def _tasks(names: Sequence[str], data: Sequence[Path], shots: int | None, max_test_rows: int | None) -> list[Task]:
    """The tasks, each with its rows.

    Raises:
        SoftPromptError: as many places of data are not given as tasks, or a task cannot be loaded.
    """
    if data and len(data) != len(names):
        raise SoftPromptError(
            f"--data is given {len(data)} times for {len(names)} tasks: give it once for each --task, in their order"
        )
    from softprompt.tasks import Task

    places: Sequence[Path | None] = data or [None] * len(names)
    return [
        Task.load(name, place, shots=shots, max_test_rows=max_test_rows)
        for name, place in zip(names, places, strict=True)
    ]


def _teachers(pairs: Sequence[str]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        name, equals, place = pair.partition("=")
        if not equals:
            raise SoftPromptError(
                f"--teacher {quoted(pair)}: give TASK=RUN, the run of a prompt that was trained on it"
            )
        if name in found:
            raise SoftPromptError(f"--teacher {quoted(name)} is given twice: leave one of them out")
        found[name] = place
    return found


def _report(done: MultitaskRun, json: bool) -> None:
    if json:
        emit({name: run.metrics for name, run in done.runs.items()})
        return
    rows = []
    for name, run in done.runs.items():
        scores = run.record.test.figures() or run.record.validation.figures()
        rows.append([name, run.record.metric, interval(scores, run.record.metric), counted(scores)])
    method = next(iter(done.runs.values())).record.method
    table(
        f"{method} on {len(rows)} tasks together", ["task", "metric", "value [95 % interval]", "rows"], rows, right=(3,)
    )
    tell(f"files: {done.folder}/tasks/NAME, each a run; {done.shared}, where a further task may start:")
    tell(f"softprompt train --method {method} --init-from {done.shared} ...")
