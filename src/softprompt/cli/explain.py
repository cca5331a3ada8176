"""`softprompt explain`."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softprompt.cli.anchor import anchor
from softprompt.cli.common import emit, open_prompt, quiet, table, tell
from softprompt.cli.helping import Verb
from softprompt.cli.options import BatchSize, Device, Dtype, Json, Page, PromptBackbone, Quiet, RunFolder
from softprompt.cli.patterns import layers
from softprompt.cli.scoring import Stored, Wanted
from softprompt.errors import SoftPromptError
from softprompt.guards.paths import file_for

if TYPE_CHECKING:
    from softprompt.progress import Progress
    from softprompt.tasks import Row

explain = typer.Typer(
    help="Look into trained prompts. Example: softprompt explain nearest runs/pt",
    no_args_is_help=True,
    rich_markup_mode=None,
)

explain.command(cls=Verb)(anchor)
explain.command(cls=Verb)(layers)

Neighbours = Annotated[int, typer.Option("-k", "--neighbours", min=1, max=50, help="words a row")]
EffectData = Annotated[
    Path | None, typer.Option(help="labelled rows to remove each token on; default: the run's validation rows")
]
EffectRows = Annotated[int, typer.Option(min=1, help="remove each token on at most so many rows")]
NoEffect = Annotated[bool, typer.Option("--no-effect", help="do not remove tokens, which takes a pass for each")]
ControlSeed = Annotated[int, typer.Option(help="of the random vectors that are the control")]
Runs = Annotated[list[Path], typer.Argument(help="folders of runs or prompts of one backbone and method")]


@explain.command(cls=Verb)
def nearest(
    run: RunFolder,
    data: EffectData = None,
    max_rows: EffectRows = 64,
    no_effect: NoEffect = False,
    backbone: PromptBackbone = None,
    k: Neighbours = 5,
    seed: ControlSeed = 0,
    page: Page = None,
    batch_size: BatchSize = 32,
    dtype: Dtype = "auto",
    device: Device = None,
    json: Json = False,
    silent: Quiet = False,
) -> None:
    """List for each virtual token where it started, how far it moved, what it does, and the words near it now.

    What a token does is measured by removing it, on the rows of --data, or on the run's own validation rows where they
    still lie where they were.

    Example: softprompt explain nearest runs/prompt_tuning --page nearest.html
    """
    quiet(silent=silent)
    if page is not None:
        file_for(page, "--page")
    from softprompt.progress import Progress

    show = Progress(not silent)
    rows = [] if no_effect else _measured_rows(run, data, max_rows, show)
    from softprompt.explain.nearest import lines_of, nearest_words, table_of
    from softprompt.explain.nearest_page import nearest_page
    from softprompt.explain.removal import removable

    prompt = open_prompt(run, backbone, dtype, device)
    if data is None and not removable(prompt.producer):
        rows = []
    total = (prompt.producer.footprint.count + 1) * len(rows)
    with show.work("without each token", total, "rows") if rows else nullcontext() as tick:
        found = nearest_words(prompt, k=k, seed=seed, rows=rows, batch_size=batch_size, tick=tick)
    title = f"{prompt.method.name} on {prompt.name}: nearest words"
    if page is not None:
        nearest_page(found, page, title)
    if json:
        emit(found.as_dict())
        return
    columns, cells = table_of(found)
    table(title, columns, cells, right=(0, *range(2, len(columns) - 1)))
    for line in lines_of(found):
        tell(line)
    if page is not None:
        tell(f"picture: {page}")


def _measured_rows(run: Path, data: Path | None, most: int, show: Progress) -> list[Row]:
    """Rows to measure the effect of tokens on: those that are given, or the run's own validation rows."""
    if data is not None:
        return Wanted(None, data, None, None, None, most).rows([Stored.of(run)], show).rows
    from softprompt.training.own_rows import validation_rows

    try:
        rows = validation_rows(run, most)
    except SoftPromptError as error:
        show.say(f"the effect of removing a token is not measured: {error}: give labelled rows with --data")
        return []
    show.say(f"the effect of removing a token: on {len(rows)} validation rows of the run, which it was chosen on")
    return rows


@explain.command(cls=Verb)
def similarity(
    runs: Runs,
    page: Page = None,
    json: Json = False,
) -> None:
    """Compare saved prompts, as SPoT does to choose one to start another task from.

    Example: softprompt explain similarity runs/sst2 runs/mr runs/rte --page similarity.html
    """
    quiet()
    if page is not None:
        file_for(page, "--page")
    from softprompt.explain.similarity import TITLES, similarity_of, similarity_page

    found = similarity_of(runs)
    if page is not None:
        similarity_page(found, page, "How alike the prompts are")
    if json:
        emit(found.as_dict())
        return
    numbers = [str(place) for place in range(1, len(runs) + 1)]
    for metric, title in TITLES.items():
        rows = zip(numbers, found.names, getattr(found, metric), strict=True)
        table(
            title,
            ["", "prompt", *numbers],
            [[number, name, *(f"{value:.2f}" for value in values)] for number, name, values in rows],
            right=range(2, len(runs) + 2),
        )
    for place, number in enumerate(numbers):
        other = found.nearest(place)
        if other is not None:
            tell(f"nearest to {number}: {numbers[other]} ({found.mean_tokens[place][other]:.2f})")
    if page is not None:
        tell(f"picture: {page}")
