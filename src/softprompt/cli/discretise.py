"""`softprompt discretise`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softprompt.cli.common import emit, interval, open_prompt, quiet, table, tell
from softprompt.cli.guessing import Columns
from softprompt.cli.options import (
    BatchSize,
    Device,
    Dtype,
    Encoding,
    Json,
    PromptBackbone,
    Quiet,
    ScoredData,
    ScoredLabel,
    ScoredText,
    ShotsAsTrained,
    SkipBad,
    Split,
    SplitSeed,
)
from softprompt.cli.scoring import Asked, Stored, Wanted

if TYPE_CHECKING:
    from softprompt.explain.discretise import Discretised

InstructionRun = Annotated[Path, typer.Argument(help="folder of a run of the method 'instruction', or of its prompt")]
MeasuredTask = Annotated[str | None, typer.Option(help="task whose rows to measure on; default: the prompt's own")]
MeasuredRows = Annotated[int | None, typer.Option(min=1, help="measure on at most so many rows")]


def discretise(
    run: InstructionRun,
    task: MeasuredTask = None,
    data: ScoredData = None,
    text: ScoredText = None,
    label: ScoredLabel = None,
    split: Split = None,
    seed: SplitSeed = None,
    shots: ShotsAsTrained = None,
    max_test_rows: MeasuredRows = None,
    skip_bad: SkipBad = False,
    encoding: Encoding = None,
    backbone: PromptBackbone = None,
    batch_size: BatchSize = 32,
    dtype: Dtype = "auto",
    device: Device = None,
    json: Json = False,
    silent: Quiet = False,
) -> None:
    """Put a trained instruction back into words, and tell what that costs.

    Example: softprompt discretise runs/instruction --data SST-2
    """
    quiet(silent=silent)
    from softprompt.progress import Progress

    wanted = Wanted(task, data, split, seed, shots, max_test_rows, skip_bad, encoding, Columns.of(text, label))
    stored = Stored.of(run)
    from softprompt.explain.discretise import check_method
    from softprompt.explain.discretise import discretise as put_into_words

    check_method(stored.method)
    asked = wanted.rows([stored], Progress(not silent))
    prompt = open_prompt(run, backbone, dtype, device)
    found = put_into_words(prompt, asked.rows, batch_size=batch_size)
    if json:
        told = {name: getattr(found, name) for name in ("text", "faithful", "metric", "cost", "before", "after")}
        emit({**asked.record, **told, "rows": [dataclasses.asdict(row) for row in found.rows]})
        return
    _report(found, asked)


def _report(found: Discretised, asked: Asked) -> None:
    table(
        "Words of the trained instruction",
        ["row", "word", "cosine to it", "drift", "nearest word", "cosine to it"],
        [
            [
                str(one.row),
                one.word,
                f"{one.cosine:.3f}",
                f"{one.drift:.3g}",
                one.nearest.token,
                f"{one.nearest.cosine:.3f}",
            ]
            for one in found.rows
        ],
        right=(0, 2, 3, 5),
    )
    table(
        f"{asked.task.name} ({asked.name}, {found.before['rows']} rows)",
        ["prompt", f"{found.metric} [95 % interval]"],
        [["trained", interval(found.before, found.metric)], ["as text", interval(found.after, found.metric)]],
    )
    tell(f"text: {found.text!r}")
    tell(f"cost: {found.cost:.3f}" + ("" if found.faithful else " (the tokenizer reads the text differently)"))
