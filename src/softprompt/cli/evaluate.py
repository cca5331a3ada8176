"""`softprompt evaluate`."""

from __future__ import annotations

from typing import Annotated

import typer

from softprompt.cli.common import emit, interval, open_prompt, quiet, table
from softprompt.cli.options import (
    BatchSize,
    Data,
    Device,
    Dtype,
    Json,
    MaxTestRows,
    PromptBackbone,
    RunFolder,
    ShotsAsTrained,
    Split,
    SplitSeed,
)
from softprompt.cli.scoring import Wanted, own_task, scored

OwnTask = Annotated[str | None, typer.Option(help="task whose rows to score; default: the prompt's own")]


def evaluate(
    run: RunFolder,
    task: OwnTask = None,
    data: Data = None,
    split: Split = "test",
    seed: SplitSeed = None,
    shots: ShotsAsTrained = None,
    max_test_rows: MaxTestRows = None,
    backbone: PromptBackbone = None,
    batch_size: BatchSize = 32,
    dtype: Dtype = "auto",
    device: Device = None,
    json: Json = False,
) -> None:
    """Score a trained prompt on labelled rows that it was not trained or chosen on.

    The rows are divided as for the run: what it was tested on is tested. Rows that it was trained or chosen on are left
    out of any other division and counted; they stay, and are told, where a published split holds them, or where
    --split asks for them.

    Example: softprompt evaluate runs/capt --task sst2 --data SST-2
    """
    quiet()
    from softprompt.evaluation.score import figure
    from softprompt.progress import Progress

    wanted = Wanted(task, data, split, seed, shots, max_test_rows)
    prompt = open_prompt(run, backbone, dtype, device)
    show = Progress(not json)
    asked = wanted.rows([prompt], own_task(prompt, run), show)
    loaded = asked.task
    result = scored(prompt, asked, show, split, batch_size)
    if json:
        emit({**asked.record, "metric": loaded.metric, **result})
        return
    listed = [[metric, f"{figure(result, metric):.3f}"] for metric in loaded.metrics[1:] if metric in result]
    table(
        f"{prompt.method.name} on {loaded.name} ({split}, {result['rows']} rows)",
        ["metric", "value"],
        [[f"{loaded.metric} [95 % interval]", interval(result, loaded.metric)], *listed],
    )
