"""`softprompt explain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softprompt.cli.common import emit, open_prompt, quiet, table, tell
from softprompt.cli.options import Device, Dtype, Json, Page, PromptBackbone, RunFolder
from softprompt.guards.paths import file_for

if TYPE_CHECKING:
    from softprompt.explain.nearest import Nearest

explain = typer.Typer(
    help="Look into trained prompts. Example: softprompt explain nearest runs/pt",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Neighbours = Annotated[int, typer.Option("-k", "--neighbours", min=1, max=50, help="words a row")]
ControlSeed = Annotated[int, typer.Option(help="of the random vectors that are the control")]
Runs = Annotated[list[Path], typer.Argument(help="folders of runs or prompts of one backbone and method")]


@explain.command()
def nearest(
    run: RunFolder,
    backbone: PromptBackbone = None,
    k: Neighbours = 5,
    seed: ControlSeed = 0,
    page: Page = None,
    dtype: Dtype = "auto",
    device: Device = None,
    json: Json = False,
) -> None:
    """List the vocabulary words nearest to each virtual token, beside a random control.

    Example: softprompt explain nearest runs/prompt_tuning --page nearest.html
    """
    quiet()
    if page is not None:
        file_for(page, "--page")
    from softprompt.explain.nearest import nearest_page, nearest_words

    prompt = open_prompt(run, backbone, dtype, device)
    found = nearest_words(prompt, k=k, seed=seed)
    title = f"{prompt.method.name} on {prompt.name}: nearest words"
    if page is not None:
        nearest_page(found, page, title)
    if json:
        emit(found.as_dict())
        return
    _report_nearest(found, title)
    if page is not None:
        tell(f"picture: {page}")


def _report_nearest(found: Nearest, title: str) -> None:
    table(
        title,
        ["row", "norm ratio", "random", "nearest words (cosine)"],
        [
            [
                str(row.row),
                f"{row.norm_ratio:.2f}",
                f"{row.control:.2f}",
                "  ".join(f"{one.token} {one.cosine:.2f}" for one in row.neighbours),
            ]
            for row in found.rows
        ],
        right=(0, 1, 2),
    )
    tell(f"rows that share their nearest word: {found.repeated:.0%} (random vectors: {found.control_repeated:.0%})")
    for label in found.labels:
        tell(f"label word {label.word!r}: rank {label.rank:,} of {found.vocabulary:,} beside row {label.row}")


@explain.command()
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
