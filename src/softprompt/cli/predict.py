"""`softprompt predict`."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softprompt.cli.common import emit, open_prompt, quiet, tell
from softprompt.cli.options import (
    OUT,
    BatchSize,
    Device,
    Dtype,
    Encoding,
    FieldPairs,
    Int8,
    PromptBackbone,
    Quiet,
    RunFolder,
)
from softprompt.cli.questions import Questions, check_asked, questions
from softprompt.errors import SoftPromptError, shown

if TYPE_CHECKING:
    from softprompt.inference.predict import Answer
    from softprompt.storage.prompt import Prompt

Texts = Annotated[list[str] | None, typer.Argument(help="one text or several, for a task of one field; - reads them")]
RowsFile = Annotated[
    Path | None,
    typer.Option(help="csv, tsv, jsonl, parquet, txt or conll; - reads standard input"),
]
AnswersFile = Annotated[
    Path | None,
    typer.Option(*OUT, help="csv, tsv, jsonl or parquet: rows with label, word, probability; conll: words with tags"),
]
AnswersJson = Annotated[bool, typer.Option("--json", help="print JSON with probabilities")]


def predict(
    run: RunFolder,
    text: Texts = None,
    file: RowsFile = None,
    field: FieldPairs = None,
    out: AnswersFile = None,
    encoding: Encoding = None,
    backbone: PromptBackbone = None,
    batch_size: BatchSize = 32,
    dtype: Dtype = "auto",
    device: Device = None,
    int8: Int8 = False,
    json: AnswersJson = False,
    silent: Quiet = False,
) -> None:
    """Ask a trained prompt about texts, a file of rows, or what comes in by a pipe.

    Example: softprompt predict runs/capt --file tickets.csv --out answers.csv
    """
    quiet(silent=silent)
    texts, file = check_asked(text or [], file, field or [])
    if encoding is not None:
        from softprompt.tasks.data.encodings import check_encoding

        check_encoding(encoding, "--encoding")
    if out is not None:
        from softprompt.cli.tagged_answers import place_for

        out = place_for(out)
    prompt = open_prompt(run, backbone, dtype, device, int8=int8)
    if prompt.task is None:
        raise SoftPromptError(f"{run}: this prompt was saved without a task, so it has no labels to predict")
    with questions(prompt.task, texts, file, field or [], encoding) as asked:
        if out is not None:
            _write(prompt, asked, out, batch_size, json, silent=silent)
        else:
            _print(prompt, asked, batch_size, json)


def _write(prompt: Prompt, asked: Questions, out: Path, batch_size: int, json: bool, *, silent: bool) -> None:
    from softprompt.cli.answers import write_answers
    from softprompt.cli.tagged_answers import write_words, writes_words
    from softprompt.progress import Progress

    write = write_words if writes_words(asked.task, out) else write_answers
    rows, blank = write(prompt, asked, out, Progress(not silent), batch_size)
    if json:
        emit({"out": str(out), "rows": rows, "rows_without_text": blank})
        return
    without = f", {blank:,} of them without text and answer" if blank else ""
    tell(f"answers: {out} ({rows:,} rows{without})")


def _print(prompt: Prompt, asked: Questions, batch_size: int, json: bool) -> None:
    from softprompt.storage.prompt import answers_to

    answers = answers_to(prompt, asked.rows(), batch_size=batch_size)
    if asked.task.kind == "tags":
        _print_words(answers, json)
        return
    if json:
        emit([{"label": a.label, "probability": a.probability, "probabilities": a.probabilities} for a in answers])
        return
    writer = csv.writer(sys.stdout, delimiter="\t", lineterminator="\n")
    for answer in answers:
        label = answer.label if answer.word == answer.label else f"{answer.label} ({answer.word})"
        # Numbers and free texts have no probability, and so no column of it.
        writer.writerow([shown(label), *([] if answer.probability is None else [f"{answer.probability:.3f}"])])


def _print_words(answers: list[Answer], json: bool) -> None:
    if json:
        names = {"words": "word", "tags": "tag", "probabilities": "probability"}
        emit([{key: [getattr(one, name) for one in a.tagged] for key, name in names.items()} for a in answers])
        return
    writer = csv.writer(sys.stdout, delimiter="\t", lineterminator="\n")
    for place, answer in enumerate(answers):
        if place:
            writer.writerow([])
        for one in answer.tagged:
            writer.writerow([shown(one.word), one.tag, "" if one.probability is None else f"{one.probability:.3f}"])
