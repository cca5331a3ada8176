"""`softprompt evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softprompt.cli.breakdown import tell_breakdown
from softprompt.cli.common import emit, interval, quiet, table
from softprompt.cli.completing import methods_by_name, tasks_by_name
from softprompt.cli.guessing import Columns
from softprompt.cli.options import (
    BatchSize,
    Device,
    Dtype,
    Encoding,
    Int8,
    Json,
    MaxTestRows,
    PromptBackbone,
    Quiet,
    ScoredData,
    ScoredLabel,
    ScoredText,
    Set,
    ShotsAsTrained,
    SkipBad,
    Split,
    SplitSeed,
    TemplateText,
)
from softprompt.cli.pooled import PooledCounts, tell_pooled, wanted_counts
from softprompt.cli.scoring import Asked, Wanted, scored
from softprompt.cli.untrained import Trained, Untrained

if TYPE_CHECKING:
    from pydantic import JsonValue

    from softprompt.evaluation.score import Scored
    from softprompt.storage.prompt import Prompt

RunOrNone = Annotated[
    Path | None, typer.Argument(help="folder of a run or of a prompt; without it --method is scored untrained")
]
MethodName = Annotated[
    str | None,
    typer.Option(help="without RUN: the method, before any training, as hard_prompt", autocompletion=methods_by_name),
]
OwnTask = Annotated[
    str | None, typer.Option(help="task whose rows to score; default: the prompt's own", autocompletion=tasks_by_name)
]

NumBeams = Annotated[int | None, typer.Option(min=1, max=1000, help="of free text; default: as it was trained")]
LengthPenalty = Annotated[float | None, typer.Option(help="of beams; default: as it was trained")]


def evaluate(
    run: RunOrNone = None,
    task: OwnTask = None,
    data: ScoredData = None,
    text: ScoredText = None,
    label: ScoredLabel = None,
    split: Split = None,
    seed: SplitSeed = None,
    shots: ShotsAsTrained = None,
    max_test_rows: MaxTestRows = None,
    skip_bad: SkipBad = False,
    encoding: Encoding = None,
    backbone: PromptBackbone = None,
    method: MethodName = None,
    template: TemplateText = None,
    set_: Set = None,
    batch_size: BatchSize = 32,
    num_beams: NumBeams = None,
    length_penalty: LengthPenalty = None,
    pooled: PooledCounts = None,
    dtype: Dtype = "auto",
    device: Device = None,
    int8: Int8 = False,
    json: Json = False,
    silent: Quiet = False,
) -> None:
    """Score a prompt on labelled rows that it was not trained or chosen on, or a method before any training.

    A file is scored whole, without the rows that the prompt was trained or chosen on; what is published in parts is
    scored on its test rows. --split, --seed or --shots ask for a part of a file, divided as for the run. Rows that were
    seen are left out of it and counted; they stay, and are told, in a published part and where --split asks for them.
    Without RUN, --backbone, --method and --task (or a table) say what is asked: hard_prompt is zero-shot use of the
    task's template, capt starts as the mean of the instance alone.

    Example: softprompt evaluate runs/mail --data held-out.csv
    """
    quiet(silent=silent)
    columns = Columns.of(text, label)
    begun = Untrained(backbone, task, template, method, set_ or [], columns, data, encoding, seed)
    begun.check(run)
    source = begun if run is None else Trained(run, backbone)
    wanted = Wanted(task, data, split, seed, shots, max_test_rows, skip_bad, encoding, columns)
    from softprompt.progress import Progress

    show, stored = Progress(not silent), source.stored()
    counts = wanted_counts(pooled, stored)
    asked = source.asking(wanted).rows([stored], show)
    prompt = source.prompt(dtype, device, show, int8=int8)
    from softprompt.evaluation.score import search

    search(prompt.readout, num_beams, length_penalty)
    if counts:
        tell_pooled(prompt, asked, counts, show, batch_size=batch_size, own=_record(source, prompt) if json else None)
        return
    _tell(source, prompt, asked, scored(prompt, asked, show, asked.name, batch_size), json=json, silent=silent)


def _tell(
    source: Trained | Untrained, prompt: Prompt, asked: Asked, found: Scored, *, json: bool, silent: bool
) -> None:
    """Print what was found, and what stands behind it."""
    if not json:
        _report(source.called(prompt), asked, found, silent=silent)
        return
    from softprompt.evaluation.breakdown import breakdown

    behind = breakdown(asked.task, asked.rows, found.outcomes, asked.name).model_dump(mode="json")
    emit({**asked.record, **_record(source, prompt), "metric": asked.task.metric, **found.scores, "breakdown": behind})


def _record(source: Trained | Untrained, prompt: Prompt) -> dict[str, JsonValue]:
    """What JSON tells of the prompt, and of its backbone what changes answers."""
    from softprompt.backbones.int8 import is_int8

    return {**source.record(prompt), **({"int8": True} if is_int8(prompt.model) else {})}


def _report(name: str, asked: Asked, found: Scored, *, silent: bool) -> None:
    from softprompt.evaluation.breakdown import breakdown
    from softprompt.evaluation.score import figure

    task, result = asked.task, found.scores
    # The value of each type of spans, too, as span_f1.PER.
    names = [name for name in result if name != task.metric and name.partition(".")[0] in task.metrics]
    listed = [[name, f"{figure(result, name):.3f}"] for name in names]
    table(
        f"{name} on {task.name} ({asked.name}, {result['rows']} rows)",
        ["metric", "value"],
        [[f"{task.metric} [95 % interval]", interval(result, task.metric)], *listed],
    )
    if not silent:
        tell_breakdown(breakdown(task, asked.rows, found.outcomes, asked.name), task)
