"""`softprompt train`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softprompt.cli.breakdown import tell_breakdown
from softprompt.cli.common import check_rows, counted, emit, interval, quiet, table, tell
from softprompt.cli.completing import methods_by_name
from softprompt.cli.guessing import Columns
from softprompt.cli.options import (
    BACKBONE,
    Data,
    Device,
    Dtype,
    Encoding,
    Epochs,
    LabelColumn,
    LearningRate,
    MaxLength,
    MaxTestRows,
    MetricsJson,
    PresetName,
    Quiet,
    Resume,
    RowsAStep,
    RunOut,
    Set,
    Shots,
    SkipBad,
    TaskName,
    TemplateText,
    TestData,
    TestSize,
    TextColumns,
    ValidationData,
)
from softprompt.cli.resuming import Given, WantedRows
from softprompt.cli.settings import with_named

if TYPE_CHECKING:
    from softprompt.backbones.backbone import Backbone
    from softprompt.methods.base import Method
    from softprompt.tasks import Task
    from softprompt.training.begun import RunRecord
    from softprompt.training.options import TrainingOptions
    from softprompt.training.run import Run

BackboneName = Annotated[str | None, BACKBONE]
ReportTo = Annotated[
    str | None, typer.Option(help="show the training in tensorboard, mlflow, wandb or trackio; several with commas")
]
MethodName = Annotated[
    str | None,
    typer.Option(
        help="a method's name (softprompt methods); default: what did best on such backbones",
        autocompletion=methods_by_name,
    ),
]
InitFrom = Annotated[
    Path | None, typer.Option(help="start from a saved prompt of the same method (SPoT), a run's or its folder")
]
Layers = Annotated[
    str | None, typer.Option(help="layers of a method over layers: learned:8, all, first:8, random:8, 0,3,7 ...")
]
Seed = Annotated[int | None, typer.Option(help="of the split, the first values and the order of rows; default: 13")]


def train(
    out: RunOut,
    backbone: BackboneName = None,
    task: TaskName = None,
    template: TemplateText = None,
    method: MethodName = None,
    preset: PresetName = None,
    data: Data = None,
    text: TextColumns = None,
    label: LabelColumn = None,
    validation_data: ValidationData = None,
    test_data: TestData = None,
    test_size: TestSize = None,
    set_: Set = None,
    learning_rate: LearningRate = None,
    epochs: Epochs = None,
    batch_size: RowsAStep = None,
    max_length: MaxLength = None,
    init_from: InitFrom = None,
    select: Layers = None,
    shots: Shots = None,
    seed: Seed = None,
    max_test_rows: MaxTestRows = None,
    skip_bad: SkipBad = False,
    encoding: Encoding = None,
    dtype: Dtype = "auto",
    device: Device = None,
    report_to: ReportTo = None,
    resume: Resume = False,
    json: MetricsJson = False,
    silent: Quiet = False,
) -> None:
    """Train a prompt, measure it and store it.

    A run needs --backbone, and --task or --data, whose columns then say what the task is; with --resume whatever is
    left out is as the run in --out recorded it.

    Example: softprompt train --backbone embedded:minilm --data tickets.csv --out runs/tickets
    """
    quiet(silent=silent)
    named = {"learning_rate": learning_rate, "epochs": epochs, "batch_size": batch_size, "max_length": max_length}
    pairs = with_named(set_, **named, init_from=init_from, report_to=report_to)
    given = Given(out, backbone, task, template, method, pairs, select, Columns.of(text, label), preset)
    given.check(data, resume=resume)
    record, shown = given.record(resume=resume), not silent
    seed = seed if seed is not None else 13 if record is None else record.seed
    rows = WantedRows(data, shots, seed, max_test_rows, validation_data, test_data, test_size, skip_bad, encoding)
    frozen, loaded, chosen, training = _settled(given, record, rows, dtype, device, silent=silent)
    begun = given.preset_of(record)
    done = _run()(frozen, loaded, chosen, training, seed=seed, output=out, resume=resume, preset=begun, progress=shown)
    _report(done, out, json, silent)


def _run() -> Callable[..., Run]:
    from softprompt.training.run import train as run  # seconds of imports

    return run


def _settled(
    given: Given, record: RunRecord | None, rows: WantedRows, dtype: str, device: str | None, *, silent: bool
) -> tuple[Backbone, Task, Method, TrainingOptions]:
    """What is trained: the task and its rows are looked at before the backbone is loaded."""
    loaded = given.task_of(record, rows)
    count = check_rows(loaded, [rows.seed], silent=silent)
    frozen = given.loaded(record, dtype, device)
    return frozen, loaded, *given.settings_for(frozen, record, count, told=not silent)


def _report(done: Run, out: Path, json: bool, silent: bool) -> None:
    if json:
        emit(done.metrics)
        return
    own = done.record
    splits = {"validation": own.validation.figures(), "test": own.test.figures()}
    table(
        f"{own.method} on {own.task}, seed {own.seed}",
        ["rows of", f"{own.metric} [95 % interval]", "count"],
        [[name, interval(scores, own.metric), counted(scores)] for name, scores in splits.items() if scores],
        right=(2,),
    )
    if own.breakdown is not None and done.prompt.task is not None and not silent:
        tell_breakdown(own.breakdown, done.prompt.task)
    tell(f"trained {own.trained_parameters:,} scalars in {own.train_seconds:.0f} s, stored {own.stored_bytes:,} bytes")
    if own.tunable is not None:
        tell(f"tunable: {own.tunable.sentence()}")
    tell(f"files: {out}/metrics.json, {out}/prompt/")
    tell(f'ask it: softprompt predict {out} "..."')
