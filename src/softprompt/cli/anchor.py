"""`softprompt explain anchor`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from softprompt.cli.common import emit, open_prompt, prompt_folder, quiet, table, tell
from softprompt.cli.options import BatchSize, Device, Dtype, FieldPairs, Json, Page, PromptBackbone, Quiet
from softprompt.cli.questions import questions
from softprompt.cli.scoring import Stored, Wanted
from softprompt.errors import SoftPromptError
from softprompt.guards.paths import file_for

if TYPE_CHECKING:
    from softprompt.explain.anchors.columns import Structural
    from softprompt.explain.anchors.maps import AttentionMap
    from softprompt.explain.anchors.reading import Anchors
    from softprompt.progress import Progress
    from softprompt.storage.prompt import Prompt
    from softprompt.tasks import Row

Runs = Annotated[list[Path], typer.Argument(help="runs; those that differ in their seeds alone are averaged")]
Rows = Annotated[Path | None, typer.Option("--data", help="rows to look at; default: the first run's validation rows")]
MostRows = Annotated[int, typer.Option("--max-rows", min=1, help="look at so many rows at most")]
Sentence = Annotated[str | None, typer.Option(help="one text instead, for a task of one field; or --field")]
StructuralRule = Annotated[
    list[str] | None,
    typer.Option("--structural", help="template, special, punctuation or word=TEXT; repeat; default: the first three"),
]
NoControls = Annotated[bool, typer.Option("--no-controls", help="without random directions and the prompt removed")]
DirectionSeed = Annotated[int, typer.Option("--seed", help="of the random directions")]
ByLayer = Annotated[bool, typer.Option("--layers", help="a line for each layer, too")]
MapLayer = Annotated[int | None, typer.Option("--layer", min=0, help="of the map; default: the mean of all")]
MapHead = Annotated[int | None, typer.Option("--head", min=0, help="of the map; default: the mean of all")]
Scores = Annotated[bool, typer.Option("--scores", help="draw scores before the softmax, as CaPT's paper does")]


def anchor(
    runs: Runs,
    data: Rows = None,
    max_rows: MostRows = 64,
    sentence: Sentence = None,
    field: FieldPairs = None,
    structural: StructuralRule = None,
    no_controls: NoControls = False,
    seed: DirectionSeed = 0,
    layers: ByLayer = False,
    page: Page = None,
    layer: MapLayer = None,
    head: MapHead = None,
    scores: Scores = False,
    backbone: PromptBackbone = None,
    batch_size: BatchSize = 32,
    dtype: Dtype = "auto",
    device: Device = None,
    json: Json = False,
    silent: Quiet = False,
) -> None:
    """Measure attention between text and slots: virtual tokens, capsules, keys and values in front.

    Beside each share of attention stand what uniform attention gives, and two controls: random directions in the slots,
    and the prompt removed. The map is drawn for each kind of run, side by side.

    Example: softprompt explain anchor runs/capt runs/deep --page attention.html
    """
    quiet(silent=silent)
    if page is not None:
        file_for(page, "--page")
    elif scores or layer is not None or head is not None:
        raise SoftPromptError("--layer, --head and --scores are of a map: name its page with --page")
    from softprompt.explain.anchors.columns import RULES, Structural

    rule = Structural.of(RULES if structural is None else structural)
    from softprompt.progress import Progress

    show = Progress(not silent)
    stored = [Stored.of(run) for run in runs]
    _check(runs, stored)
    rows = _rows(runs[0], stored[0], _Asked(data, max_rows, sentence, field or []), show)
    prompts = _opened(runs, backbone, dtype, device)
    maps = [] if page is None else _maps(prompts, rows[0], rule, layer, head)
    found = _measured(prompts, rows, rule, None if no_controls else seed, batch_size, show)
    if page is not None:
        _draw(maps, page, scores=scores)
    if json:
        emit({**found.as_dict(), "maps": [{"name": name, **one.as_dict()} for name, one in maps]})
        return
    _tell(found, layers=layers, page=page)


class _Asked(NamedTuple):
    """Which rows the options ask for."""

    data: Path | None
    most: int
    sentence: str | None
    fields: list[str]


def _check(runs: list[Path], stored: list[Stored]) -> None:
    """Refuse, before a backbone is loaded, prompts without slots, and tasks of other fields."""
    from softprompt.explain.anchors.reading import why_no_slots

    for run, one in zip(runs, stored, strict=True):
        if one.method.site in ("weights", "none"):
            raise SoftPromptError(why_no_slots(one.method.name))
        if one.task.fields != stored[0].task.fields:
            raise SoftPromptError(
                f"{run}: its task has the fields {', '.join(one.task.fields)} and that of {runs[0]} has "
                f"{', '.join(stored[0].task.fields)}: name runs that can read the same rows"
            )


def _rows(run: Path, stored: Stored, asked: _Asked, show: Progress) -> list[Row]:
    """The rows to look at: one text, those of a file, or the first run's own validation rows."""
    if sum((asked.data is not None, asked.sentence is not None, bool(asked.fields))) > 1:
        raise SoftPromptError("--data, --sentence and --field: give one of them")
    if asked.sentence is not None or asked.fields:
        texts = [] if asked.sentence is None else [asked.sentence]
        with questions(stored.task, texts, None, asked.fields) as one:
            return one.rows()
    if asked.data is not None:
        return Wanted(None, asked.data, None, None, None, asked.most).rows([stored], show).rows
    from softprompt.training.own_rows import validation_rows

    try:
        rows = validation_rows(run, asked.most)
    except SoftPromptError as error:
        raise SoftPromptError(f"{error}: give rows with --data, or --sentence") from None
    show.say(f"{len(rows)} validation rows of {run}")
    return rows


def _opened(runs: list[Path], backbone: str | None, dtype: str, device: str | None) -> list[Prompt]:
    """The prompts, those on one backbone with one model."""
    from softprompt.backbones.backbone import Backbone
    from softprompt.storage.prompt import load
    from softprompt.storage.record import read_description

    loaded: dict[str | None, Backbone] = {}
    found: list[Prompt] = []
    for run in runs:
        path = prompt_folder(run)
        name = backbone or read_description(path).record.backbone_name
        found.append(load(path, loaded[name]) if name in loaded else open_prompt(run, backbone, dtype, device))
        loaded[name] = found[-1].backbone
    return found


def _maps(
    prompts: list[Prompt], row: Row, rule: Structural, layer: int | None, head: int | None
) -> list[tuple[str, AttentionMap]]:
    """The map of the first run of each kind, with its name."""
    from softprompt.explain.anchors.flows import kind_name
    from softprompt.explain.anchors.maps import attention_map
    from softprompt.explain.anchors.reading import kind_key

    firsts: dict[str, Prompt] = {}
    for one in prompts:
        firsts.setdefault(kind_key(one), one)
    return [
        (kind_name(one.method.name, one.method.in_use()), attention_map(one, row, rule, layer=layer, head=head))
        for one in firsts.values()
    ]


def _measured(
    prompts: list[Prompt], rows: list[Row], rule: Structural, seed: int | None, batch_size: int, show: Progress
) -> Anchors:
    """What attention does with each prompt and, given a seed, with its controls."""
    from softprompt.explain.anchors.reading import anchor_run, together

    with show.work("attention", len(rows) * len(prompts) * (1 if seed is None else 3), "rows") as tick:
        return together([anchor_run(one, rows, rule, seed, batch_size=batch_size, tick=tick) for one in prompts])


def _draw(maps: list[tuple[str, AttentionMap]], page: Path, *, scores: bool) -> None:
    from softprompt.explain.anchors.pictures import anchor_page

    anchor_page(page, maps, "scores" if scores else "weights")


def _tell(found: Anchors, *, layers: bool, page: Path | None) -> None:
    from softprompt.explain.anchors.table import COLUMNS, flow_rows, layer_rows, notes, told

    for kind in found.kinds:
        table(f"{told(kind)}: {found.rows} rows", COLUMNS, flow_rows(kind), right=range(1, len(COLUMNS)))
        if layers:
            columns, cells = layer_rows(kind)
            table("share of attention by layer", columns, cells, right=range(len(columns)))
    for line in notes(found.kinds, found.structural):
        tell(line)
    if page is not None:
        tell(f"picture: {page}")
