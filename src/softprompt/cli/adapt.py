"""`softprompt adapt`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softprompt.cli.common import emit, quiet, tell
from softprompt.cli.options import OUT, Device, Dtype, MetricsJson, Quiet, Resume
from softprompt.cli.settings import whole_numbers
from softprompt.guards.paths import folder_for

if TYPE_CHECKING:
    from softprompt.training.adaptation.run import Adapted

EncoderDecoder = Annotated[str, typer.Option(help="an encoder-decoder: a hub name or a folder")]
TextFiles = Annotated[
    list[Path],
    typer.Option(help="txt (one text a line), csv, tsv, jsonl or parquet with a column of texts; repeat"),
]
ModelOut = Annotated[Path, typer.Option(*OUT, help="folder of the run; the model goes to its sub-folder model")]
Column = Annotated[str, typer.Option(help="which column holds the texts")]
Steps = Annotated[int, typer.Option(min=1, help="optimiser steps; the paper takes up to 100,000")]
LearningRate = Annotated[float, typer.Option(help="constant, with Adafactor's parameter scaling")]
TextsABatch = Annotated[int, typer.Option(min=1, help="texts a batch")]
Accumulate = Annotated[int, typer.Option(min=1, help="batches a step")]
MaxLength = Annotated[int, typer.Option(min=2, help="most tokens of a chunk, inputs and targets together")]
KeepAt = Annotated[
    str | None, typer.Option(help="keep the model at these steps, too, each a backbone of its own: 0,1000,5000")
]
Saves = Annotated[int, typer.Option(min=1, help="how often the training state is written")]
TextsSeed = Annotated[int, typer.Option(help="of the order of texts and where they are split")]


def adapt(
    backbone: EncoderDecoder,
    text: TextFiles,
    out: ModelOut,
    column: Column = "text",
    steps: Steps = 1000,
    learning_rate: LearningRate = 1e-3,
    batch_size: TextsABatch = 16,
    accumulate: Accumulate = 1,
    max_length: MaxLength = 256,
    keep_at: KeepAt = None,
    saves: Saves = 8,
    seed: TextsSeed = 13,
    dtype: Dtype = "float32",
    device: Device = None,
    resume: Resume = False,
    json: MetricsJson = False,
    silent: Quiet = False,
) -> None:
    """Go on training an encoder-decoder as a language model, so that prompts work on it (Lester et al.).

    Example: softprompt adapt --backbone google/t5-v1_1-small --text corpus.txt --steps 10000 --out runs/lm
    """
    quiet(silent=silent)
    folder_for(out, "--out")
    kept = () if keep_at is None else whole_numbers(keep_at, "--keep-at", "0,1000,5000")
    from softprompt.training.adaptation.run import adapt as run

    own = {"steps": steps, "learning_rate": learning_rate, "batch_size": batch_size, "accumulate": accumulate}
    done = run(
        backbone,
        _texts(text, column),
        output=out,
        seed=seed,
        resume=resume,
        progress=not silent,
        dtype=dtype,
        device=device,
        keep_at=kept,
        **{**own, "max_length": max_length, "saves": saves},
    )
    _report(done, json)


def _texts(paths: Sequence[Path], column: str) -> list[str]:
    from softprompt.training.adaptation.texts import read_texts

    return [one for path in paths for one in read_texts(path, column)]


def _report(done: Adapted, json: bool) -> None:
    if json:
        emit(done.metrics)
        return
    first, last = done.metrics["history"][0], done.metrics["history"][-1]
    tell(f"{last['step']} steps in {done.metrics['train_seconds']:.0f} s")
    tell(f"held-out loss: {_loss(first['loss'])} before, {_loss(last['loss'])} after")
    losses = {point["step"]: point["loss"] for point in done.metrics["history"]}
    for step, folder in [*done.models.items()][:-1]:
        tell(f"after {step:,} steps: held-out loss {_loss(losses[step])}, kept as {folder}")
    tell(f"use it: softprompt train --backbone {done.model} ...")


def _loss(loss: float | None) -> str:
    return "not measured (too few texts)" if loss is None else f"{loss:.3f}"
