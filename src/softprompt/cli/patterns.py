"""`softprompt explain layers`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from softprompt.cli.common import emit, quiet, table, tell
from softprompt.cli.options import Json, Page
from softprompt.guards.paths import file_for

SearchedRuns = Annotated[
    list[Path], typer.Argument(help="runs with --select learned:K, and folders of such runs, as select writes them")
]


def layers(
    runs: SearchedRuns,
    page: Page = None,
    json: Json = False,
) -> None:
    """Show which layers the searches of finished runs kept, task by task, beside what chance gives.

    Example: softprompt explain layers runs/sst2-layers runs/trec-layers --page layers.html
    """
    quiet()
    if page is not None:
        file_for(page, "--page")
    from softprompt.explain.patterns import group_table, layer_patterns, map_table
    from softprompt.explain.patterns_page import patterns_page

    found = layer_patterns(runs)
    if page is not None:
        patterns_page(found, page, "Which layers the searches kept")
    if json:
        emit(found.as_dict())
        return
    columns, cells = map_table(found)
    table("how often each layer was kept: a dot never, a full bar by all runs", columns, cells, right=(1, 2))
    columns, cells = group_table(found)
    table("mean share of each group of layers", columns, cells, right=range(1, len(columns)))
    tell("by chance: the share of every layer where as many are drawn at random")
    tell("layer 0 reads the embedding; groups as said second-hand of SPT on RoBERTa-large, scaled to the depth")
    if found.controls:
        others = "1 run" if found.controls == 1 else f"{found.controls} runs"
        tell(f"left out: {others} whose layers were not searched for")
    if page is not None:
        tell(f"picture: {page}")
