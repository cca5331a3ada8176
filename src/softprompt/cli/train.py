"""`softprompt train`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from softprompt.cli.auto import (
    Budget,
    BudgetMinutes,
    MaxBytes,
    budget_of,
    choice_of,
    chosen_run,
    run_begun,
    tell_choice,
    without_method,
)
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
from softprompt.cli.resuming import Given, How, WantedRows
from softprompt.cli.settings import with_named
from softprompt.ranks import one_process

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
Shard = Annotated[bool, typer.Option("--shard", help="torchrun: split the frozen backbone over the ranks (FSDP2)")]
MethodName = Annotated[
    str | None,
    typer.Option(
        help="a method's name (softprompt methods), or auto: measure some and choose; default: what did best on such "
        "backbones",
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
    minutes: BudgetMinutes = None,
    max_bytes: MaxBytes = None,
    report_to: ReportTo = None,
    shard: Shard = False,
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
    pairs = with_named(set_, **named, init_from=init_from, report_to=report_to, shard=shard or None)
    given = Given(out, backbone, task, template, method, pairs, select, Columns.of(text, label), preset)
    rows = WantedRows(data, shots, _own(seed), max_test_rows, validation_data, test_data, test_size, skip_bad, encoding)
    how, budget = How(seed, dtype, device, resume, silent), budget_of(method, minutes, max_bytes)
    if budget is None:
        _report(_trained(given, rows, how), out, json, silent)
    else:
        _choose(without_method(given), rows, how, budget, json=json)


def _own(seed: int | None) -> int:
    """The user's, or the usual one."""
    return 13 if seed is None else seed


def _trained(given: Given, rows: WantedRows, how: How) -> Run:
    """Train the method that is named, or the default one, or go on with a run."""
    given.check(rows.data, resume=how.resume)
    record = given.record(resume=how.resume)
    if record is not None and how.seed is None:
        rows = replace(rows, seed=record.seed)
    settled, preset = _settled(given, record, rows, how), given.preset_of(record)
    begin = partial(_run(), seed=rows.seed, output=given.out, resume=how.resume, preset=preset)
    return begin(*settled, progress=not how.silent)


def _choose(given: Given, rows: WantedRows, how: How, budget: Budget, *, json: bool) -> None:
    """Have a method chosen, and show what was tried beside the run."""
    one_process("--method auto")
    if how.resume and run_begun(given.out):
        run, choice = _trained(given, rows, how), choice_of(given.out)
    else:
        run, choice = chosen_run(given, rows, how, budget)
    if json:
        emit({"choice": choice.model_dump(mode="json"), "metrics": run.metrics})
        return
    tell_choice(choice, given.out)
    _report(run, given.out, json, how.silent)


def _run() -> Callable[..., Run]:
    from softprompt.training.run import train as run  # seconds of imports

    return run


def _settled(
    given: Given, record: RunRecord | None, rows: WantedRows, how: How
) -> tuple[Backbone, Task, Method, TrainingOptions]:
    """What is trained: the task and its rows are looked at before the backbone is loaded."""
    loaded = given.task_of(record, rows)
    count = check_rows(loaded, [rows.seed], silent=how.silent)
    frozen = given.loaded(record, how.dtype, how.device)
    return frozen, loaded, *given.settings_for(frozen, record, count, told=not how.silent)


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
    tell(f"ask it: softprompt predict {quote(str(out))} {_asked(done.prompt.task)}")


def _asked(task: Task | None) -> str:
    """What `predict` takes for one row of a task, or a file where a row brings more than texts."""
    fields = () if task is None or task.kind == "choice" else task.fields
    by_name = " ".join(f'--field {quote(name)}="..."' for name in fields) or "--file FILE --out answers.csv"
    return '"..."' if len(fields) == 1 else by_name
