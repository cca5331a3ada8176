"""`softprompt select`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softprompt.cli.common import check_rows, emit, quiet, table, tell
from softprompt.cli.completing import methods_by_name
from softprompt.cli.guessing import Columns, task_of
from softprompt.cli.options import (
    OUT,
    BackboneName,
    Data,
    Device,
    Dtype,
    Encoding,
    Epochs,
    LabelColumn,
    LearningRate,
    MaxLength,
    MaxTestRows,
    PresetName,
    Quiet,
    RowsAStep,
    Set,
    Shots,
    SkipBad,
    TaskName,
    TemplateText,
    TestData,
    TestSize,
    TextColumns,
    ValidationData,
)
from softprompt.cli.resuming import WantedRows
from softprompt.cli.settings import check_names, listed_words, split_options, whole_numbers, with_named
from softprompt.errors import SoftPromptError
from softprompt.guards.paths import folder_for

if TYPE_CHECKING:
    from softprompt.compare.results import LayerComparison
    from softprompt.methods.base import Method
    from softprompt.training.options import TrainingOptions

FIGURES, PAGE = "select.json", "select.html"

RunsFolder = Annotated[
    Path, typer.Option(*OUT, help="folder of the runs, one a choice and seed, of select.json and select.html")
]
LayersMethod = Annotated[
    str | None,
    typer.Option(
        help="a method whose layers can be chosen; default: spt, or the preset's", autocompletion=methods_by_name
    ),
]
Keep = Annotated[
    int | None, typer.Option(min=1, help="K, layers that learned, first, last and random keep; default: 8, or half")
]
Arms = Annotated[str, typer.Option(help="choices of layers to compare, any that --select knows but numbers")]
Seeds = Annotated[str, typer.Option(help="of the runs, at least two for a test, better five")]
SelectJson = Annotated[bool, typer.Option("--json", help="print select.json")]


def select(
    backbone: BackboneName,
    out: RunsFolder,
    task: TaskName = None,
    template: TemplateText = None,
    method: LayersMethod = None,
    preset: PresetName = None,
    keep: Keep = None,
    arms: Arms = "learned,all,first,last,random,input,middle",
    seeds: Seeds = "13,21,42",
    data: Data = None,
    text: TextColumns = None,
    label: LabelColumn = None,
    validation_data: ValidationData = None,
    test_data: TestData = None,
    test_size: TestSize = None,
    set_: Set = None,
    learning_rate: LearningRate = None,
    epochs: Epochs = None,
    batch_size: RowsAStep = None,
    max_length: MaxLength = None,
    shots: Shots = None,
    max_test_rows: MaxTestRows = None,
    skip_bad: SkipBad = False,
    encoding: Encoding = None,
    dtype: Dtype = "auto",
    device: Device = None,
    json: SelectJson = False,
    silent: Quiet = False,
) -> None:
    """Learn which layers to prompt, and compare with every control: all layers, the first, the last, random ones.

    The same command again goes on where it was stopped; more seeds or arms only add runs.

    Example: softprompt select --backbone embedded:minilm --task sst2 --data SST-2 --out runs/layers --seeds 13,21,42
    """
    quiet(silent=silent)
    folder_for(out, "--out")
    words, numbers = listed_words(arms), whole_numbers(seeds, "--seeds", "13,21,42")
    pairs = with_named(set_, learning_rate=learning_rate, epochs=epochs, batch_size=batch_size, max_length=max_length)
    name = _named(method, preset, pairs)
    rows = WantedRows(data, shots, numbers[0], max_test_rows, validation_data, test_data, test_size, skip_bad, encoding)
    loaded = task_of(task, Columns.of(text, label), template=template, **vars(rows))
    chosen, training = _without_layers(pairs, name)
    check_rows(loaded, numbers, silent=silent)
    from softprompt.backbones.load import load_backbone
    from softprompt.compare.layers import select_layers

    how, dtype = training.model_dump(exclude_unset=True), _dtype(dtype, preset)
    how |= {"keep": keep, "arms": words, "seeds": numbers, "output": out, "preset": preset, "progress": not silent}
    _finish(select_layers(load_backbone(backbone, dtype=dtype, device=device), loaded, chosen, **how), out, json)


def _named(method: str | None, preset: str | None, pairs: list[str]) -> str:
    """The method's name, which the options are looked at for."""
    from softprompt.presets.catalog import preset as preset_of

    name = method or ("spt" if preset is None else preset_of(preset).method)
    check_names(pairs, name)
    return name


def _dtype(asked: str, preset: str | None) -> str:
    """The type of the weights: the preset's, as in `train`, where the user leaves it open."""
    from softprompt.presets.catalog import preset as preset_of

    return asked if asked != "auto" or preset is None else preset_of(preset).dtype or asked


def _without_layers(pairs: list[str], method: str) -> tuple[Method, TrainingOptions]:
    """A method over layers and options of training; which layers is not among them."""
    from softprompt.compare.layers import over_layers

    chosen, training = split_options(pairs, method)
    if any(pair.partition("=")[0] in ("select", "method.select") for pair in pairs):
        raise SoftPromptError("--set select: the arms are what this verb varies; give --arms and --keep")
    return over_layers(chosen), training


def _finish(found: LayerComparison, out: Path, json: bool) -> None:
    """Write what was found and show it."""
    from softprompt.explain.layers import layers_page
    from softprompt.files.whole import write_json

    write_json(out / FIGURES, found)
    layers_page(found, out / PAGE, f"Which layers {found['method']} needs on {found['task']}")
    if json:
        emit(found)
    else:
        _report(found, out)


def _report(found: LayerComparison, out: Path) -> None:
    from softprompt.explain.layers import arm_difference, strip, tunable

    arms, seeds = found["arms"], found["seeds"]
    table(
        f"{found['method']} on {found['task']}, {found['rows']} test rows, seeds {', '.join(map(str, seeds))}",
        [found["metric"], "mean", "dev.", "by seed", f"to {found['reference']}", "95 % interval", "p", "Holm"],
        [
            [
                arm["arm"],
                f"{arm['mean']:.3f}",
                "" if arm["deviation"] is None else f"{arm['deviation']:.3f}",
                " ".join(f"{run['value']:.3f}" for run in arm["runs"]),
                *arm_difference(arm),
            ]
            for arm in arms
        ],
        right=(1, 2, 4, 6, 7),
    )
    table(
        f"layers 0 to {found['layers'] - 1}, and what they cost",
        ["arm", "layers", "trained", "tunable %", "stored", "seconds"],
        [
            [
                arm["arm"],
                strip(arm["share"]),
                f"{arm['trained_parameters']:,}",
                tunable(arm),
                f"{arm['stored_parameters']:,}",
                f"{arm['seconds']:.0f}",
            ]
            for arm in arms
        ],
        right=(2, 3, 4, 5),
    )
    tell("p: paired t test over seeds (Holm: over all arms together); few seeds have little power, so a")
    tell("large p does not show that two choices are equal. Layers: the higher a mark, the more seeds keep it.")
    tell("Tunable %: trained scalars for a hundred of the backbone's parameters; in brackets without the head.")
    tell(f"figures: {out / FIGURES}")
    tell(f"pictures: {out / PAGE}")
