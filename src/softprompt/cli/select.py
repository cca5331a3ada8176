"""`softprompt select`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from softprompt.cli.common import emit, quiet, split_options, table, tell
from softprompt.cli.options import Device, Dtype
from softprompt.errors import SoftPromptError
from softprompt.guards.paths import folder_for

FIGURES, PAGE = "select.json", "select.html"


def select(
    backbone: Annotated[str, typer.Option(help="hub name, folder, GGUF file or embedded:gemma3-270m, embedded:minilm")],
    task: Annotated[str, typer.Option(help="a task's name (softprompt tasks) or a YAML file")],
    out: Annotated[
        Path, typer.Option(help="folder of the runs, one a choice and seed, of select.json and select.html")
    ],
    method: Annotated[str, typer.Option(help="a method whose layers can be chosen")] = "spt",
    keep: Annotated[
        int | None, typer.Option(min=1, help="K, layers that learned, first, last and random keep; default: 8, or half")
    ] = None,
    arms: Annotated[
        str, typer.Option(help="choices of layers to compare, any that --select knows but numbers")
    ] = "learned,all,first,last,random,input,middle",
    seeds: Annotated[str, typer.Option(help="of the runs, at least two for a test, better five")] = "13,21,42",
    data: Annotated[Path | None, typer.Option(help="folder in the task's published layout; default: the hub")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="name=value, any option of the method or of training; repeat")
    ] = None,
    shots: Annotated[int | None, typer.Option(min=1, help="rows a class to train on, and as many to validate")] = None,
    max_test_rows: Annotated[int | None, typer.Option(min=1, help="test on at most so many rows")] = None,
    dtype: Dtype = "auto",
    device: Device = None,
    json: Annotated[bool, typer.Option("--json", help="print select.json")] = False,
) -> None:
    """Learn which layers to prompt, and compare with every control: all layers, the first, the last, random ones.

    The same command again goes on where it was stopped; more seeds or arms only add runs.

    Example: softprompt select --backbone embedded:minilm --task sst2 --data SST-2 --out runs/layers --seeds 13,21,42
    """
    quiet()
    folder_for(out, "--out")
    words, numbers = _words(arms), _numbers(seeds)
    chosen, training = split_options(set_ or [], method)
    if any(pair.partition("=")[0] in ("select", "method.select") for pair in set_ or []):
        raise SoftPromptError("--set select: the arms are what this verb varies; give --arms and --keep")
    from softprompt.backbones.load import load_backbone
    from softprompt.compare.layers import over_layers, select_layers
    from softprompt.explain.layers import layers_page
    from softprompt.files.whole import write_json
    from softprompt.tasks import Task

    over_layers(chosen)
    loaded = Task.load(task, data=data, shots=shots, seed=numbers[0], max_test_rows=max_test_rows)
    for seed in numbers:
        loaded.splits(seed)  # faults in the data show before the backbone is loaded
    model, tokenizer = load_backbone(backbone, dtype=dtype, device=device)
    found = select_layers(
        model,
        tokenizer,
        loaded,
        chosen,
        keep=keep,
        arms=words,
        seeds=numbers,
        output=out,
        progress=not json,
        backbone=backbone,
        **training,
    )
    write_json(out / FIGURES, found)
    layers_page(found, out / PAGE, f"Which layers {found['method']} needs on {found['task']}")
    if json:
        emit(found)
        return
    _report(found, out)


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _numbers(text: str) -> list[int]:
    try:
        found = [int(word) for word in _words(text)]
    except ValueError:
        found = []
    if not found:
        raise SoftPromptError(f"--seeds {text!r}: give whole numbers with commas between, as 13,21,42")
    return found


def _report(found: dict[str, Any], out: Path) -> None:
    from softprompt.explain.layers import arm_difference, strip

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
        ["arm", "layers", "trained", "stored", "seconds"],
        [
            [
                arm["arm"],
                strip(arm["share"]),
                f"{arm['trained_parameters']:,}",
                f"{arm['stored_parameters']:,}",
                f"{arm['seconds']:.0f}",
            ]
            for arm in arms
        ],
        right=(2, 3, 4),
    )
    tell("p: paired t test over seeds (Holm: over all arms together); few seeds have little power, so a")
    tell("large p does not show that two choices are equal. Layers: the higher a mark, the more seeds keep it.")
    tell(f"figures: {out / FIGURES}")
    tell(f"pictures: {out / PAGE}")
