"""`softprompt ensemble`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softprompt.cli.common import emit, interval, open_prompt, quiet, table, tell
from softprompt.cli.guessing import Columns
from softprompt.cli.options import (
    Device,
    Dtype,
    Encoding,
    Json,
    MaxTestRows,
    Quiet,
    ScoredData,
    ScoredLabel,
    ScoredText,
    ShotsAsTrained,
    SkipBad,
    Split,
)
from softprompt.cli.scoring import Stored, Wanted

if TYPE_CHECKING:
    from softprompt.evaluation.ensemble import EnsembleScores

MemberFolders = Annotated[list[Path], typer.Argument(help="folders of runs or prompts of one task and backbone")]
MembersTask = Annotated[str | None, typer.Option(help="task whose rows to score; default: the prompts' own")]
MembersSeed = Annotated[int | None, typer.Option(help="of the split; default: that of the first member's run")]
MembersBackbone = Annotated[str | None, typer.Option(help="where the prompts' backbone is now")]
Sequences = Annotated[int, typer.Option(min=1, help="sequences a forward pass, one a row and prompt")]


def ensemble(
    runs: MemberFolders,
    task: MembersTask = None,
    data: ScoredData = None,
    text: ScoredText = None,
    label: ScoredLabel = None,
    split: Split = None,
    seed: MembersSeed = None,
    shots: ShotsAsTrained = None,
    max_test_rows: MaxTestRows = None,
    skip_bad: SkipBad = False,
    encoding: Encoding = None,
    backbone: MembersBackbone = None,
    batch_size: Sequences = 32,
    dtype: Dtype = "auto",
    device: Device = None,
    json: Json = False,
    silent: Quiet = False,
) -> None:
    """Let several prompts vote, in one batch over one frozen model, on rows that none was trained or chosen on.

    Example: softprompt ensemble runs/seed13 runs/seed21 runs/seed42 --data SST-2
    """
    quiet(silent=silent)
    from softprompt.progress import Progress

    wanted = Wanted(task, data, split, seed, shots, max_test_rows, skip_bad, encoding, Columns.of(text, label))
    show = Progress(not silent)
    asked = wanted.rows([Stored.of(run) for run in runs], show)
    first = open_prompt(runs[0], backbone, dtype, device)
    from softprompt.evaluation.ensemble import Ensemble
    from softprompt.storage.prompt import load

    members = [first, *(load(run, first.backbone) for run in runs[1:])]
    together = Ensemble(members, [str(run) for run in runs])
    with show.work(asked.name, len(asked.rows), "rows") as tick:
        result = together.evaluate(asked.rows, asked.task, batch_size=batch_size, tick=tick)
    if json:
        emit({**asked.record, **result})
        return
    several = "1 prompt" if len(members) == 1 else f"{len(members)} prompts"
    _report(result, f"{several} on {asked.task.name} ({asked.name}, {result['rows']} rows)")


def _report(result: EnsembleScores, title: str) -> None:
    from softprompt.evaluation.score import figure

    metric = result["metric"]
    together = [
        ("mean of the members", result["mean"]),
        (f"best member, {result['best']['name']}", result["best"]),
        ("majority vote", result["vote"]),
        ("mean probability", result["mean_probability"]),
    ]
    rows = [(str(member["name"]), member) for member in result["members"]]
    table(
        title,
        ["answers of", f"{metric} [95 % interval]"],
        [[name, interval(metrics, metric)] for name, metrics in (*rows, *together)],
        right=(1,),
    )
    tell(f"deviation over the members: {figure(result['mean'], 'deviation'):.3f}")
