"""`softprompt evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from softprompt.cli.common import emit, interval, open_prompt, quiet, table
from softprompt.cli.options import Device, Dtype
from softprompt.cli.scoring import Wanted, check_split, own_task


def evaluate(
    run: Annotated[Path, typer.Argument(help="folder of a run or of a prompt")],
    task: Annotated[str | None, typer.Option(help="task whose rows to score; default: the prompt's own")] = None,
    data: Annotated[Path | None, typer.Option(help="folder in the task's published layout; default: the hub")] = None,
    split: Annotated[str, typer.Option(help="test, validation or train")] = "test",
    seed: Annotated[int | None, typer.Option(help="of the split; default: that of the prompt's own run")] = None,
    shots: Annotated[int | None, typer.Option(min=1, help="rows a class; default: as in training")] = None,
    max_test_rows: Annotated[int | None, typer.Option(min=1, help="test on at most so many rows")] = None,
    backbone: Annotated[str | None, typer.Option(help="where the prompt's backbone is now")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="rows a forward pass")] = 32,
    dtype: Dtype = "auto",
    device: Device = None,
    json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Score a trained prompt on labelled rows that it was not trained or chosen on.

    The rows are divided as for the run: what it was tested on is tested. Rows that it was trained or chosen on are left
    out of any other division and counted; they stay, and are told, where a published split holds them, or where
    --split asks for them.

    Example: softprompt evaluate runs/capt --task sst2 --data SST-2
    """
    quiet()
    from softprompt.evaluation.score import metrics_of
    from softprompt.progress import Progress

    check_split(split)
    prompt = open_prompt(run, backbone, dtype, device)
    own = own_task(prompt, run)
    show = Progress(not json)
    asked = Wanted(task, data, split, seed, shots, max_test_rows).rows([prompt], own, show)
    loaded = asked.task
    assert prompt.readout is not None
    with prompt.attach() as prompted, show.work(split, len(asked.rows), "rows") as tick:
        result = metrics_of(prompted, prompt.readout, loaded, asked.rows, batch_size=batch_size, tick=tick)
    if json:
        emit({**asked.record, "metric": loaded.metric, **result})
        return
    listed = [[metric, f"{result[metric]:.3f}"] for metric in loaded.metrics[1:] if metric in result]
    table(
        f"{prompt.method.name} on {loaded.name} ({split}, {result['rows']} rows)",
        ["metric", "value"],
        [[f"{loaded.metric} [95 % interval]", interval(result, loaded.metric)], *listed],
    )
