"""`softprompt discretise`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from softprompt.cli.common import emit, interval, open_prompt, quiet, table, tell
from softprompt.cli.options import Device, Dtype
from softprompt.cli.scoring import Wanted, check_split, own_task


def discretise(
    run: Annotated[Path, typer.Argument(help="folder of a run of the method 'instruction', or of its prompt")],
    task: Annotated[str | None, typer.Option(help="task whose rows to measure on; default: the prompt's own")] = None,
    data: Annotated[Path | None, typer.Option(help="folder in the task's published layout; default: the hub")] = None,
    split: Annotated[str, typer.Option(help="test, validation or train")] = "test",
    seed: Annotated[int | None, typer.Option(help="of the split; default: that of the prompt's own run")] = None,
    shots: Annotated[int | None, typer.Option(min=1, help="rows a class; default: as in training")] = None,
    max_test_rows: Annotated[int | None, typer.Option(min=1, help="measure on at most so many rows")] = None,
    backbone: Annotated[str | None, typer.Option(help="where the prompt's backbone is now")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="rows a forward pass")] = 32,
    dtype: Dtype = "auto",
    device: Device = None,
    json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Put a trained instruction back into words, and tell what that costs.

    Example: softprompt discretise runs/instruction --data SST-2
    """
    quiet()
    from softprompt.explain.discretise import discretise as put_into_words
    from softprompt.progress import Progress

    check_split(split)
    prompt = open_prompt(run, backbone, dtype, device)
    own = own_task(prompt, run)
    asked = Wanted(task, data, split, seed, shots, max_test_rows).rows([prompt], own, Progress(not json))
    found = put_into_words(prompt, asked.rows, batch_size=batch_size)
    if json:
        told = {name: getattr(found, name) for name in ("text", "faithful", "metric", "cost", "before", "after")}
        emit({**asked.record, **told, "rows": [dataclasses.asdict(row) for row in found.rows]})
        return
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
        f"{asked.task.name} ({split}, {found.before['rows']} rows)",
        ["prompt", f"{found.metric} [95 % interval]"],
        [["trained", interval(found.before, found.metric)], ["as text", interval(found.after, found.metric)]],
    )
    tell(f"text: {found.text!r}")
    tell(f"cost: {found.cost:.3f}" + ("" if found.faithful else " (the tokenizer reads the text differently)"))
