"""`softprompt ensemble`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from softprompt.cli.common import emit, interval, open_prompt, quiet, table, tell
from softprompt.cli.options import Device, Dtype
from softprompt.cli.scoring import Wanted, check_split, own_task


def ensemble(
    runs: Annotated[list[Path], typer.Argument(help="folders of runs or prompts of one task and backbone")],
    task: Annotated[str | None, typer.Option(help="task whose rows to score; default: the prompts' own")] = None,
    data: Annotated[Path | None, typer.Option(help="folder in the task's published layout; default: the hub")] = None,
    split: Annotated[str, typer.Option(help="test, validation or train")] = "test",
    seed: Annotated[int | None, typer.Option(help="of the split; default: that of the first member's run")] = None,
    shots: Annotated[int | None, typer.Option(min=1, help="rows a class; default: as in training")] = None,
    max_test_rows: Annotated[int | None, typer.Option(min=1, help="test on at most so many rows")] = None,
    backbone: Annotated[str | None, typer.Option(help="where the prompts' backbone is now")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="sequences a forward pass, one a row and prompt")] = 32,
    dtype: Dtype = "auto",
    device: Device = None,
    json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Let several prompts vote, in one batch over one frozen model, on rows that none was trained or chosen on.

    Example: softprompt ensemble runs/seed13 runs/seed21 runs/seed42 --data SST-2
    """
    quiet()
    from softprompt.evaluation.ensemble import Ensemble
    from softprompt.files.places import folder_of
    from softprompt.progress import Progress
    from softprompt.storage.prompt import load

    check_split(split)
    first = open_prompt(runs[0], backbone, dtype, device)
    own = own_task(first, runs[0])
    members = [first, *(load(folder_of(run), first.model, first.tokenizer) for run in runs[1:])]
    together = Ensemble(members, [str(run) for run in runs])
    show = Progress(not json)
    asked = Wanted(task, data, split, seed, shots, max_test_rows).rows(members, own, show)
    with show.work(split, len(asked.rows), "rows") as tick:
        result = together.evaluate(asked.rows, asked.task, batch_size=batch_size, tick=tick)
    if json:
        emit({**asked.record, **result})
        return
    _report(result, f"{len(members)} prompts on {asked.task.name} ({split}, {result['rows']} rows)")


def _report(result: dict[str, Any], title: str) -> None:
    metric = result["metric"]
    together = [
        ("mean of the members", result["mean"]),
        (f"best member, {result['best']['name']}", result["best"]),
        ("majority vote", result["vote"]),
        ("mean probability", result["mean_probability"]),
    ]
    rows = [(member["name"], member) for member in result["members"]]
    table(
        title,
        ["answers of", f"{metric} [95 % interval]"],
        [[name, interval(metrics, metric)] for name, metrics in (*rows, *together)],
        right=(1,),
    )
    tell(f"deviation over the members: {result['mean']['deviation']:.3f}")
