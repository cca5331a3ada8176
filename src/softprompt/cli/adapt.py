"""`softprompt adapt`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from softprompt.cli.common import emit, quiet, tell
from softprompt.cli.options import Device, Dtype
from softprompt.guards.paths import folder_for


def adapt(
    backbone: Annotated[str, typer.Option(help="an encoder-decoder: a hub name or a folder")],
    text: Annotated[
        list[Path],
        typer.Option(help="txt (one text a line), csv, tsv, jsonl or parquet with a column of texts; repeat"),
    ],
    out: Annotated[Path, typer.Option(help="folder of the run; the model goes to its sub-folder model")],
    column: Annotated[str, typer.Option(help="which column holds the texts")] = "text",
    steps: Annotated[int, typer.Option(min=1, help="optimiser steps; the paper takes up to 100,000")] = 1000,
    learning_rate: Annotated[float, typer.Option(help="constant, with Adafactor's parameter scaling")] = 1e-3,
    batch_size: Annotated[int, typer.Option(min=1, help="texts a batch")] = 16,
    accumulate: Annotated[int, typer.Option(min=1, help="batches a step")] = 1,
    max_length: Annotated[int, typer.Option(min=2, help="most tokens of a chunk, inputs and targets together")] = 256,
    saves: Annotated[int, typer.Option(min=1, help="how often the training state is written")] = 8,
    seed: Annotated[int, typer.Option(help="of the order of texts and where they are split")] = 13,
    dtype: Dtype = "float32",
    device: Device = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on with the run in --out")] = False,
    json: Annotated[bool, typer.Option("--json", help="print metrics.json")] = False,
) -> None:
    """Go on training an encoder-decoder as a language model, so that prompts work on it (Lester et al.).

    Example: softprompt adapt --backbone google/t5-v1_1-small --text corpus.txt --steps 10000 --out runs/lm
    """
    quiet()
    folder_for(out, "--out")
    from softprompt.training.adaptation.run import adapt as run
    from softprompt.training.adaptation.texts import read_texts

    done = run(
        backbone,
        [one for path in text for one in read_texts(path, column)],
        output=out,
        seed=seed,
        resume=resume,
        progress=not json,
        dtype=dtype,
        device=device,
        steps=steps,
        learning_rate=learning_rate,
        batch_size=batch_size,
        accumulate=accumulate,
        max_length=max_length,
        saves=saves,
    )
    if json:
        emit(done.metrics)
        return
    first, last = done.metrics["history"][0], done.metrics["history"][-1]
    tell(f"{last['step']} steps in {done.metrics['train_seconds']:.0f} s")
    tell(f"held-out loss: {_loss(first)} before, {_loss(last)} after")
    tell(f"use it: softprompt train --backbone {done.model} ...")


def _loss(found: dict[str, Any]) -> str:
    return "not measured (too few texts)" if found["loss"] is None else f"{found['loss']:.3f}"
