"""`softprompt search`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softprompt.cli.auto import refuse_auto
from softprompt.cli.common import emit, quiet
from softprompt.cli.compare import tell_notes
from softprompt.cli.completing import methods_by_name
from softprompt.cli.found import FIGURES, show_found
from softprompt.cli.options import (
    OUT,
    BackboneName,
    Data,
    Device,
    Dtype,
    Gpus,
    Json,
    MaxTestRows,
    On,
    PresetName,
    Quiet,
    Set,
    Shots,
    SkipBad,
    StoreAddress,
    TaskName,
    Workers,
)
from softprompt.cli.placing import place_of
from softprompt.cli.plans import typed_settings
from softprompt.cli.searching import beside_default, found_entry, planned_cells, searched, wanted_search
from softprompt.cli.settings import whole_numbers
from softprompt.errors import SoftPromptError
from softprompt.files.places import refuse_run
from softprompt.guards.paths import folder_for

if TYPE_CHECKING:
    from pydantic import JsonValue

    from softprompt.compare.cells import Cell
    from softprompt.compare.search import Found, Search

SearchFolder = Annotated[
    Path, typer.Option(*OUT, help="folder of the search: its trials, the runs on all seeds and search.json")
]
SearchedMethod = Annotated[
    str | None, typer.Option(help="the method; default: the preset's", autocompletion=methods_by_name)
]
Over = Annotated[
    list[str] | None,
    typer.Option(
        help="what to search: any option that --set takes; repeat. Default: the rate and the length around the default",
        metavar="NAME=LOW..HIGH[:log]|VALUE,...",
    ),
]
TrialCount = Annotated[
    int | None, typer.Option(min=1, help="how many to try, the default among them; 20 without --minutes")
]
Minutes = Annotated[float | None, typer.Option(min=0, help="begin no trial after so long")]
Folds = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=20,
        help="folds of the training and validation rows to measure a trial on, 1 for the validation rows; "
        "default: 4 under 64 rows a class, else 1",
    ),
]
Halving = Annotated[
    bool,
    typer.Option(
        "--halving",
        help="judge each trial once half of its folds are measured, or by its validation curve at a third of its "
        "training, and end the lower half there",
    ),
]
SearchSeeds = Annotated[str, typer.Option("--seeds", help="of the runs in the end; the trials have the first")]


def search(
    backbone: BackboneName,
    out: SearchFolder,
    task: TaskName = None,
    data: Data = None,
    method: SearchedMethod = None,
    preset: PresetName = None,
    over: Over = None,
    trials: TrialCount = None,
    minutes: Minutes = None,
    folds: Folds = None,
    set_: Set = None,
    seeds: SearchSeeds = "13,21,42",
    shots: Shots = None,
    max_test_rows: MaxTestRows = None,
    skip_bad: SkipBad = False,
    halving: Halving = False,
    workers: Workers = None,
    on: On = None,
    store: StoreAddress = None,
    gpus: Gpus = None,
    dtype: Dtype = "auto",
    device: Device = None,
    json: Json = False,
    silent: Quiet = False,
) -> None:
    """Search a method's options by validation rows alone, and compare what is found with the default on test rows.

    The same command again goes on where it was stopped; more trials, minutes or seeds only add to it.

    Example: softprompt search --backbone embedded:minilm --task sst2 --data SST-2 --method capt --out runs/search
    """
    quiet(silent=silent)
    folder_for(out, "--out")
    refuse_run(out, "choose another folder for the search")
    place = place_of(workers, on, store, gpus, out)
    _check_able(method)
    entry: dict[str, JsonValue] = {**_given(name=method, preset=preset), "set": typed_settings(set_ or [], "--set")}
    rows = _rows(task, data, skip_bad or None, shots=shots, max_test_rows=max_test_rows)
    keys = {"backbones": [backbone], "seeds": list(whole_numbers(seeds, "--seeds", "13,21,42")), **rows}
    plan = planned_cells({**keys, "methods": [entry]}, out, dtype, device)
    tell_notes(plan, silent=silent)
    from softprompt.training.hold import hold_folder

    wanted, asked = wanted_search(plan, over or [], folds, (trials, minutes), place, halving=halving)
    with hold_folder(out):
        found = searched(wanted, asked, place, silent=silent)
        arms = [entry, *found_entry(entry, found, wanted)]
        ended = planned_cells({**keys, "methods": arms}, out, dtype, device)
        _finish(wanted, found, beside_default(ended, place, silent=silent), out, json=json)


def _check_able(method: str | None) -> None:
    """Raise `SoftPromptError` where a method is to be chosen, or Optuna is not there."""
    refuse_auto(method)
    if find_spec("optuna") is None:
        raise SoftPromptError("softprompt search has Optuna propose trials: pip install 'softprompt[search]'")


def _rows(task: str | None, data: Path | None, skip_bad: bool | None, **limits: int | None) -> dict[str, JsonValue]:
    """What a plan is told of its rows."""
    entry = _given(name=task, data=None if data is None else str(data), skip_bad=skip_bad)
    return {"tasks": [entry], **_given(**limits)}


def _given(**values: str | int | None) -> dict[str, JsonValue]:
    """What was given, by name."""
    return {name: value for name, value in values.items() if value is not None}


def _finish(wanted: Search, found: Found, cells: Mapping[str, tuple[Cell, ...]], out: Path, *, json: bool) -> None:
    """Write what was found and show it."""
    from softprompt.compare.beside import record_of
    from softprompt.files.whole import write_json

    record = record_of(wanted, found, cells)
    write_json(out / FIGURES, record.model_dump(mode="json"))
    if json:
        emit(record.model_dump(mode="json"))
    else:
        show_found(record, out)
