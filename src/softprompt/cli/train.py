"""`softprompt train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softprompt.cli.common import check_rows, counted, emit, interval, quiet, split_options, table, tell
from softprompt.cli.options import (
    BackboneName,
    Data,
    Device,
    Dtype,
    MaxTestRows,
    MetricsJson,
    Resume,
    Set,
    Shots,
    TaskName,
)
from softprompt.errors import SoftPromptError
from softprompt.guards.paths import folder_for

if TYPE_CHECKING:
    from softprompt.training.run import Run

MethodName = Annotated[str, typer.Option(help="a method's name (softprompt methods)")]
Out = Annotated[Path, typer.Option(help="folder of the run")]
InitFrom = Annotated[
    Path | None, typer.Option(help="start from a saved prompt of the same method (SPoT), a run's or its folder")
]
Layers = Annotated[
    str | None, typer.Option(help="layers of a method over layers: learned:8, all, first:8, random:8, 0,3,7 ...")
]
ValidationData = Annotated[Path | None, typer.Option(help="a file of rows to validate on")]
TestData = Annotated[Path | None, typer.Option(help="a file of rows to test on")]
TestSize = Annotated[
    float | None,
    typer.Option(help="of one file, test on so many rows, or on a share below 1; default: 0.1, or what --shots leave"),
]
Seed = Annotated[int, typer.Option(help="of the split, the first values and the order of rows")]


def train(
    backbone: BackboneName,
    task: TaskName,
    method: MethodName,
    out: Out,
    data: Data = None,
    validation_data: ValidationData = None,
    test_data: TestData = None,
    test_size: TestSize = None,
    set_: Set = None,
    init_from: InitFrom = None,
    select: Layers = None,
    shots: Shots = None,
    seed: Seed = 13,
    max_test_rows: MaxTestRows = None,
    dtype: Dtype = "auto",
    device: Device = None,
    resume: Resume = False,
    json: MetricsJson = False,
) -> None:
    """Train a prompt, measure it and store it.

    Example: softprompt train --backbone embedded:gemma3-270m --task sst2 --data SST-2 --method capt --out runs/capt
    """
    quiet()
    folder_for(out, "--out")
    chosen, training = split_options(_with_select(set_ or [], method, select), method)
    if init_from is not None:
        training["init_from"] = str(init_from)
    from softprompt.backbones.load import load_backbone
    from softprompt.tasks import Task
    from softprompt.training.run import train as run

    loaded = Task.load(task, data, shots, seed, max_test_rows, validation_data, test_data, test_size)
    check_rows(loaded, [seed])
    frozen = load_backbone(backbone, dtype=dtype, device=device)
    done = run(frozen, loaded, chosen, seed=seed, output=out, resume=resume, progress=not json, **training)
    _report(done, out, json)


def _with_select(pairs: list[str], method: str, select: str | None) -> list[str]:
    """The pairs of `--set`, with `--select` as one of them."""
    from softprompt.compare.layers import over_layers
    from softprompt.methods.registry import method as method_of

    if select is None:
        return pairs
    over_layers(method_of(method))
    if any(pair.partition("=")[0] in ("select", "method.select") for pair in pairs):
        raise SoftPromptError("--select and --set select both choose the layers: leave one of them out")
    return [*pairs, f"method.select={select}"]


def _report(done: Run, out: Path, json: bool) -> None:
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
    tell(f"trained {own.trained_parameters:,} scalars in {own.train_seconds:.0f} s, stored {own.stored_bytes:,} bytes")
    tell(f"files: {out}/metrics.json, {out}/prompt/")
    tell(f'ask it: softprompt predict {out} "..."')
