"""`softprompt predict`."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Annotated

import typer

from softprompt.cli.common import emit, open_prompt, quiet
from softprompt.cli.options import BatchSize, Device, Dtype, PromptBackbone, Quiet, RunFolder
from softprompt.errors import SoftPromptError, quoted, shown

Texts = Annotated[list[str] | None, typer.Argument(help="one text or several, for a task of one field")]
RowsFile = Annotated[Path | None, typer.Option(help="csv, tsv, jsonl, parquet or txt with the task's fields")]
FieldPairs = Annotated[list[str] | None, typer.Option(help="name=text, one for each field of the task; makes one row")]
AnswersJson = Annotated[bool, typer.Option("--json", help="print JSON with probabilities")]


def predict(
    run: RunFolder,
    text: Texts = None,
    file: RowsFile = None,
    field: FieldPairs = None,
    backbone: PromptBackbone = None,
    batch_size: BatchSize = 32,
    dtype: Dtype = "auto",
    device: Device = None,
    json: AnswersJson = False,
    silent: Quiet = False,
) -> None:
    """Ask a trained prompt.

    Example: softprompt predict runs/capt "a moving film"
    """
    quiet(silent=silent)
    if sum(map(bool, (text, file, field))) != 1:
        raise SoftPromptError(
            'nothing to predict, or too much: give a text, --file or --field, as in predict RUN "a text"'
        )
    prompt = open_prompt(run, backbone, dtype, device)
    if prompt.task is None:
        raise SoftPromptError(f"{run}: this prompt was saved without a task, so it has no labels to predict")
    from softprompt.storage.prompt import answers_to

    if file is not None:
        rows = prompt.task.rows_from(file)
    elif field:
        rows = prompt.task.rows_of([dict(_pair(pair) for pair in field)])
    else:
        rows = prompt.task.rows_of(text or [])
    answers = answers_to(prompt, rows, batch_size=batch_size)
    if json:
        emit([{"label": a.label, "probability": a.probability, "probabilities": a.probabilities} for a in answers])
        return
    words = dict(prompt.task.labels)
    writer = csv.writer(sys.stdout, delimiter="\t", lineterminator="\n")
    for answer in answers:
        word = words.get(answer.label, "")
        label = answer.label if word in ("", answer.label) else f"{answer.label} ({word})"
        writer.writerow([shown(label), "" if answer.probability is None else f"{answer.probability:.3f}"])


def _pair(pair: str) -> tuple[str, str]:
    name, equals, value = pair.partition("=")
    if not equals:
        raise SoftPromptError(f"--field {quoted(pair)} has no '=': write --field name=text")
    return name, value
