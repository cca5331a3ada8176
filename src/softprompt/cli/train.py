"""`softprompt train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from softprompt.cli.common import counted, emit, interval, quiet, split_options, table, tell
from softprompt.cli.options import Device, Dtype
from softprompt.errors import SoftPromptError
from softprompt.guards.paths import folder_for


def train(
    backbone: Annotated[str, typer.Option(help="hub name, folder, GGUF file or embedded:gemma3-270m, embedded:minilm")],
    task: Annotated[str, typer.Option(help="a task's name (softprompt tasks) or a YAML file")],
    method: Annotated[str, typer.Option(help="a method's name (softprompt methods)")],
    out: Annotated[Path, typer.Option(help="folder of the run")],
    data: Annotated[Path | None, typer.Option(help="folder in the task's published layout; default: the hub")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="name=value, any option of the method or of training; repeat")
    ] = None,
    init_from: Annotated[
        Path | None, typer.Option(help="start from a saved prompt of the same method (SPoT), a run's or its folder")
    ] = None,
    select: Annotated[
        str | None, typer.Option(help="layers of a method over layers: learned:8, all, first:8, random:8, 0,3,7 ...")
    ] = None,
    shots: Annotated[int | None, typer.Option(min=1, help="rows a class to train on, and as many to validate")] = None,
    seed: Annotated[int, typer.Option(help="of the split, the first values and the order of rows")] = 13,
    max_test_rows: Annotated[int | None, typer.Option(min=1, help="test on at most so many rows")] = None,
    dtype: Dtype = "auto",
    device: Device = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the run in --out")] = False,
    json: Annotated[bool, typer.Option("--json", help="print metrics.json")] = False,
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

    loaded = Task.load(task, data=data, shots=shots, seed=seed, max_test_rows=max_test_rows)
    loaded.splits(seed)  # faults in the data show before the backbone is loaded
    model, tokenizer = load_backbone(backbone, dtype=dtype, device=device)
    done = run(
        model,
        tokenizer,
        loaded,
        chosen,
        seed=seed,
        output=out,
        resume=resume,
        progress=not json,
        backbone=backbone,
        **training,
    )
    if json:
        emit(done.metrics)
        return
    _report(done.metrics, out)


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


def _report(metrics: dict[str, Any], out: Path) -> None:
    rows = [
        [name, interval(metrics[name], metrics["metric"]), counted(metrics[name])]
        for name in ("validation", "test")
        if metrics[name]
    ]
    table(
        f"{metrics['method']} on {metrics['task']}, seed {metrics['seed']}",
        ["rows of", f"{metrics['metric']} [95 % interval]", "count"],
        rows,
        right=(2,),
    )
    tell(
        f"trained {metrics['trained_parameters']:,} scalars in {metrics['train_seconds']:.0f} s, "
        f"stored {metrics['stored_bytes']:,} bytes"
    )
    tell(f"files: {out}/metrics.json, {out}/prompt/")
    tell(f'ask it: softprompt predict {out} "..."')
