"""`softprompt search`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Annotated

import typer

from softprompt.cli.common import emit, quiet, table, tell
from softprompt.cli.compare import make_cells
from softprompt.cli.completing import methods_by_name
from softprompt.cli.options import (
    OUT,
    BackboneName,
    Data,
    Device,
    Dtype,
    Json,
    MaxTestRows,
    PresetName,
    Quiet,
    Set,
    Shots,
    TaskName,
    Workers,
)
from softprompt.cli.placing import Place, workers_here
from softprompt.cli.plans import WHERE, typed_settings
from softprompt.cli.settings import whole_numbers
from softprompt.errors import Interrupted, SoftPromptError
from softprompt.guards.paths import folder_for

if TYPE_CHECKING:
    from pydantic import JsonValue

    from softprompt.compare.beside import SearchRecord
    from softprompt.compare.cells import Cell
    from softprompt.compare.planned import Planned
    from softprompt.compare.search import Found, Search

FIGURES = "search.json"
_TRIALS, _LISTED = 20, 5

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
    workers: Workers = None,
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
    _check_optuna()
    count = _TRIALS if trials is None and minutes is None else trials
    entry: dict[str, JsonValue] = {**_given(name=method, preset=preset), "set": typed_settings(set_ or [], "--set")}
    keys: dict[str, JsonValue] = {
        "backbones": [backbone],
        "tasks": [_given(name=task, data=None if data is None else str(data))],
        "seeds": list(whole_numbers(seeds, "--seeds", "13,21,42")),
        **_given(shots=shots, max_test_rows=max_test_rows),
    }
    plan = planned_cells({**keys, "methods": [entry]}, out, dtype, device)
    from softprompt.training.hold import hold_folder

    wanted, asked = _wanted(plan, over or [], folds, (count, minutes), workers, out)
    with hold_folder(out):
        found = _searched(wanted, asked, silent=silent)
        entries = [entry, *_found_entry(entry, found, wanted)]
        cells = _beside(planned_cells({**keys, "methods": entries}, out, dtype, device), out, workers, silent=silent)
        _finish(wanted, found, cells, out, json=json)


def _check_optuna() -> None:
    """Raise `SoftPromptError` where Optuna is not there."""
    if find_spec("optuna") is None:
        raise SoftPromptError("softprompt search has Optuna propose trials: pip install 'softprompt[search]'")


def _given(**values: str | int | None) -> dict[str, JsonValue]:
    """What was given, by name."""
    return {name: value for name, value in values.items() if value is not None}


def planned_cells(keys: Mapping[str, object], out: Path, dtype: str, device: str | None) -> Planned:
    """The cells of the runs on all seeds; faults are told, a line each."""
    from softprompt.compare.ledger import CELLS
    from softprompt.compare.plan import PlanFaults, plan_of
    from softprompt.compare.planned import planned

    try:
        return planned(plan_of(keys, WHERE), WHERE, out.absolute() / CELLS, dtype, device)
    except PlanFaults as faults:
        raise SoftPromptError(faults.lines[0]) from None


def _wanted(
    plan: Planned,
    over: list[str],
    folds: int | None,
    most: tuple[int | None, float | None],
    workers: int | None,
    out: Path,
) -> tuple[Search, dict[str, JsonValue]]:
    """What is searched, and what it is of."""
    from softprompt.compare.cells import LoadedTasks
    from softprompt.compare.folding import usual_folds
    from softprompt.compare.ranges import typed_ranges
    from softprompt.compare.search import Search

    cell = plan.cells[0]
    count = folds or usual_folds(LoadedTasks().of(cell), cell.seed)
    processes, _ = workers_here(workers, 2**16)
    search = Search(cell, typed_ranges(over, cell), count, most[0], most[1], processes, out.absolute())
    asked: dict[str, JsonValue] = {
        name: value
        for name, value in cell.model_dump(mode="json", exclude={"name", "folder", "fold", "seed"}).items()
        if name != "data"
    }
    return search, {**asked, "task and rows": plan.digests[cell.name]}


def _searched(wanted: Search, asked: Mapping[str, JsonValue], *, silent: bool) -> Found:
    """Try what is proposed."""
    from softprompt.compare.local import LocalExecutor
    from softprompt.compare.search import Searching
    from softprompt.progress import Progress
    from softprompt.training.process import stop_signal

    count, threads = workers_here(wanted.workers, wanted.folds * wanted.at_once)
    show = Progress(not silent)
    with stop_signal() as stop, LocalExecutor(count, threads) as executor:

        def stopping() -> bool:
            now, stop["asked"] = stop["asked"], False
            if now:
                show.say("stopping: what runs writes its state; asked again, it ends at once")
            return now

        return Searching(wanted, asked, executor, show, stopping).run()


def _found_entry(entry: Mapping[str, JsonValue], found: Found, wanted: Search) -> list[dict[str, JsonValue]]:
    """The method with the options that were taken, as a plan has it; none where it is the default."""
    from softprompt.compare.beside import settings_of

    own = entry["set"]
    assert isinstance(own, dict)
    taken = settings_of(found, wanted.cell.method)
    return [{**entry, "set": {**own, **taken}}] if taken else []


def _beside(plan: Planned, out: Path, workers: int | None, *, silent: bool) -> dict[str, tuple[Cell, ...]]:
    """Have the default and what was taken trained on all seeds; the finished cells by the arms' names.

    Raises:
        Interrupted: it was stopped.
        SoftPromptError: one failed.
    """
    from softprompt.compare.beside import DEFAULT, FOUND
    from softprompt.compare.ledger import Ledger
    from softprompt.compare.making import standing
    from softprompt.progress import Progress

    ledger = Ledger(out, Progress(not silent).say)
    make_cells(plan, standing(plan, out, ledger, retry=True), ledger, Place(workers, out), silent=silent)
    for cell in plan.cells:
        end = ledger.outcome(cell.name, plan.digests[cell.name])
        if end is None:
            raise Interrupted(f"the trials have ended, and not all runs on all seeds in {out}; run the same to go on")
        if end.state == "failed":
            raise SoftPromptError(f"{cell.name}: {end.line}")
    default = plan.cells[0]
    same = (default.method_options, default.training_options)
    arms: dict[str, tuple[Cell, ...]] = {}
    for cell in plan.cells:
        name = DEFAULT if (cell.method_options, cell.training_options) == same else FOUND
        arms[name] = (*arms.get(name, ()), cell)
    return arms


def _finish(wanted: Search, found: Found, cells: Mapping[str, tuple[Cell, ...]], out: Path, *, json: bool) -> None:
    """Write what was found and show it."""
    from softprompt.compare.beside import record_of
    from softprompt.files.whole import write_json

    record = record_of(wanted, found, cells)
    write_json(out / FIGURES, record.model_dump(mode="json"))
    if json:
        emit(record.model_dump(mode="json"))
    else:
        _report(record, out)


def _report(record: SearchRecord, out: Path) -> None:
    """Show what was tried, why what was taken is taken, and how it does on the test rows."""
    best = sorted((one for one in record.trials if one.scores), key=lambda one: -mean(one.scores))
    tried = [best[0], *(one for one in best[1:] if one.number == 0 or one in best[:_LISTED])]
    table(
        f"{len(record.trials)} trials, the default and the best by {_measured(record.folds)}",
        ["trial", record.metric, "values"],
        [[_name(one.number), f"{mean(one.scores):.3f}", _words(one.values)] for one in tried],
        right=(0, 1),
    )
    for line in _why(record):
        tell(line)
    table(
        f"{record.metric} of the test rows, seeds {', '.join(map(str, record.arms[0].seeds))}",
        ["", "mean", "dev.", "by seed", "bytes"],
        [
            [
                one.name,
                f"{one.mean:.3f}",
                "" if one.deviation is None else f"{one.deviation:.3f}",
                " ".join(f"{value:.3f}" for value in one.test),
                f"{one.stored_bytes:,}",
            ]
            for one in record.arms
        ],
        right=(1, 2, 4),
    )
    tell(f"figures: {out / FIGURES}")


def _why(record: SearchRecord) -> list[str]:
    cost = f"{len(record.trials)} trials took {record.seconds:.0f} seconds of work"
    failed = sum(not one.scores for one in record.trials)
    cost += f", {failed} of them failed" if failed else ""
    if record.best == 0:
        return [cost, "the default is the best: it is kept"]
    gain = f"trial {record.best} is better than the default by {record.gain:.3f}, standard error {record.error:.3f}"
    return [cost, f"{gain}: {'it is taken' if record.taken else 'within noise, so the default is kept'}"]


def _measured(folds: int) -> str:
    return "the validation rows" if folds == 1 else f"{folds} folds held out in turn"


def _name(number: int) -> str:
    return f"{number}" if number else "0, default"


def _words(values: Mapping[str, JsonValue]) -> str:
    return ", ".join(
        f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}" for name, value in values.items()
    )
