"""`softprompt compare`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from softprompt.cli.common import emit, quiet, table, tell
from softprompt.cli.completing import backbones_by_name, methods_by_name, tasks_by_name
from softprompt.cli.options import (
    OUT,
    Device,
    Dtype,
    Gpus,
    Json,
    MaxTestRows,
    On,
    Quiet,
    Set,
    SkipBad,
    StoreAddress,
    Workers,
)
from softprompt.cli.placing import Place, place_of, workers_here
from softprompt.cli.plans import typed_plan
from softprompt.errors import Interrupted, SoftPromptError, shown
from softprompt.files.places import refuse_run
from softprompt.guards.paths import folder_for

if TYPE_CHECKING:
    from softprompt.compare.forecast import Forecast
    from softprompt.compare.ledger import Ledger
    from softprompt.compare.making import Standing
    from softprompt.compare.planned import Planned

_NAMED = 5  # folders that are told by name

PlanFile = Annotated[Path | None, typer.Argument(help="the plan, a YAML file; or say it with options")]
TableFolder = Annotated[Path, typer.Option(*OUT, help="folder of the table: a run folder for each cell stands in it")]
Backbones = Annotated[
    list[str] | None,
    typer.Option(
        "--backbone",
        help="hub name, folder, GGUF file or embedded:NAME; repeat for several",
        autocompletion=backbones_by_name,
    ),
]
Tasks = Annotated[
    list[str] | None,
    typer.Option(
        "--task",
        help="a name or a YAML file, and where its rows are; =DATA alone tells the task; repeat for several",
        metavar="NAME[=DATA]",
        autocompletion=tasks_by_name,
    ),
]
Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        help="a method, a paper's settings, and options; repeat for several",
        metavar="NAME[@PRESET][:NAME=VALUE,...]",
        autocompletion=methods_by_name,
    ),
]
Seeds = Annotated[str | None, typer.Option(help="of the runs; default: 13,21,42")]
ShotsList = Annotated[
    str | None, typer.Option(help="rows a class to train on, and as many to validate; or several, as 16,32")
]
Retry = Annotated[bool, typer.Option("--retry", help="try the cells again that failed")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="train nothing: say of each cell what it will cost here")]


def compare(
    out: TableFolder,
    plan: PlanFile = None,
    backbone: Backbones = None,
    task: Tasks = None,
    method: Methods = None,
    set_: Set = None,
    seeds: Seeds = None,
    shots: ShotsList = None,
    max_test_rows: MaxTestRows = None,
    skip_bad: SkipBad = False,
    workers: Workers = None,
    on: On = None,
    store: StoreAddress = None,
    gpus: Gpus = None,
    retry: Retry = False,
    dry_run: DryRun = False,
    dtype: Dtype = "auto",
    device: Device = None,
    json: Json = False,
    silent: Quiet = False,
) -> None:
    """Train a table: methods x tasks x backbones x seeds x shots, each cell a run of its own.

    The same command again goes on where it was stopped: what is finished is never done again.

    Example: softprompt compare plan.yaml --out runs/table
    """
    quiet(silent=silent)
    folder_for(out, "--out")
    refuse_run(out, "choose another folder for the table")
    place = place_of(workers, on, store, gpus, out)
    options = {"backbones": backbone, "tasks": task, "methods": method, "set": set_, "seeds": seeds, "shots": shots}
    found = _planned(
        plan, {**options, "max_test_rows": max_test_rows, "skip_bad": skip_bad or None}, out, dtype, device
    )
    if dry_run:
        _dry(found, out, workers, json=json, silent=silent)
        return
    from softprompt.compare.ledger import Ledger
    from softprompt.compare.making import standing
    from softprompt.progress import Progress
    from softprompt.training.hold import hold_folder

    with hold_folder(out):
        ledger = Ledger(out, Progress(not silent).say)
        stands = standing(found, out, ledger, retry=retry)
        _begin(found, stands, ledger, silent=silent)
        make_cells(found, stands, ledger, place, silent=silent)
        _finish(found, ledger, out, json=json)


def _planned(plan: Path | None, options: dict[str, object], out: Path, dtype: str, device: str | None) -> Planned:
    """The cells of a plan; its faults are told, a line each."""
    from softprompt.compare.plan import PlanFaults

    try:
        asked, where = typed_plan(plan, options)
        from softprompt.compare.planned import planned
        from softprompt.files.places import CELLS

        return planned(asked, where, out.absolute() / CELLS, dtype, device)
    except PlanFaults as faults:
        for line in faults.lines:
            print(f"error: {shown(line)}", file=sys.stderr)
        raise typer.Exit(1) from None


def _begin(plan: Planned, stands: Standing, ledger: Ledger, *, silent: bool) -> None:
    """Say how the plan stands."""
    from softprompt.progress import Progress

    show = Progress(not silent)
    tell_notes(plan, silent=silent)
    show.say(f"{len(plan.cells)} cells: {len(stands.done)} done, {len(stands.left)} to do")
    for cell in stands.failed:
        known = ledger.outcome(cell.name, plan.digests[cell.name])
        show.say(f"failed before: {cell.name}: {known.line if known else ''} (--retry tries it again)")
    if stands.others:
        named = ", ".join(stands.others[:_NAMED]) + (", ..." if len(stands.others) > _NAMED else "")
        show.say(f"not of this plan, and left as they are: {named} ({len(stands.others)} in all)")


def tell_notes(plan: Planned, *, silent: bool) -> None:
    """Say what a reader should know of the tasks' rows."""
    from softprompt.progress import Progress

    for note in plan.notes:
        Progress(not silent).say(f"note: {note}")


def make_cells(plan: Planned, stands: Standing, ledger: Ledger, place: Place, *, silent: bool) -> None:
    """Have the cells done that are left."""
    from softprompt.compare.live import Board, LiveBoard
    from softprompt.compare.making import make
    from softprompt.training.process import stop_signal

    if not stands.left:
        return
    known = {cell.name: ledger.outcome(cell.name, plan.digests[cell.name]) for cell in stands.done}
    with place.executor(len(stands.left), silent=silent) as executor, stop_signal() as stop:
        board = Board(
            cells={cell.name: cell for cell in plan.cells},
            done=len(stands.done),
            failed=len(stands.failed),
            left={cell.name for cell in stands.left},
            workers=executor.workers,
            values={name: one.value for name, one in known.items() if one is not None and one.value is not None},
            rows={name: one.train for name, one in plan.rows.items()},
        )

        def stopping() -> bool:
            asked, stop["asked"] = stop["asked"], False
            if asked:
                live.say("stopping: what runs writes its state; asked again, it ends at once")
            return asked

        with LiveBoard(board, not silent) as live:
            make(stands.left, plan, executor, ledger, live.hear, stopping)


def _dry(plan: Planned, out: Path, workers: int | None, *, json: bool, silent: bool) -> None:
    """Say of each cell what it will cost, and of all together."""
    from softprompt.compare.forecast import forecast
    from softprompt.compare.ledger import Ledger
    from softprompt.compare.making import standing
    from softprompt.progress import Progress

    show = Progress(not silent)
    stands = standing(plan, out, Ledger(out, show.say), retry=True)
    count, threads = workers_here(workers, len(plan.cells))
    tell_notes(plan, silent=silent)
    found = forecast(plan, stands, threads, show)
    if json:
        emit(found.model_dump())
        return
    _show(found, count)


def _show(found: Forecast, workers: int) -> None:
    table(
        f"{len(found.cells)} cells",
        ["cell", "rows", "steps", "about", "memory"],
        [[*one.told()] for one in found.cells],
        right=(2, 3, 4),
    )
    for line in found.lines(workers):
        tell(line)


def _finish(plan: Planned, ledger: Ledger, out: Path, *, json: bool) -> None:
    """Tell what came out.

    Raises:
        SoftPromptError: some cells failed.
        Interrupted: some were not begun, or stopped.
    """
    outcomes = {cell.name: ledger.outcome(cell.name, plan.digests[cell.name]) for cell in plan.cells}
    states = {name: one.state for name, one in outcomes.items() if one is not None}
    done = [cell for cell in plan.cells if states.get(cell.name) == "done"]
    failed, count = len(states) - len(done), len(plan.cells)
    if json:
        emit({"cells": {name: one and one.model_dump(exclude={"digest"}) for name, one in outcomes.items()}})
    elif done:
        _print_table(plan, ledger, out)
    if len(states) < count:
        raise Interrupted(f"{len(done)} of {count} cells are finished in {out}; run the same again to go on")
    if failed:
        raise SoftPromptError(f"{failed} of {count} cells failed, as told: mend it and run the same with --retry")


def _print_table(plan: Planned, ledger: Ledger, out: Path) -> None:
    """The table of the plan's cells; folders of other plans are not in it."""
    from softprompt.compare.formats.text import as_text
    from softprompt.compare.tabulate import tabulate

    ended = [(Path(cell.folder), ledger.outcome(cell.name, plan.digests[cell.name])) for cell in plan.cells]
    known = {folder: one for folder, one in ended if one is not None}
    folders = [folder for folder in known if folder.is_dir()]
    sys.stdout.write(as_text(tabulate(folders, cells=known), styled=sys.stdout.isatty()))
    tell(f"other forms of it: softprompt results {out}")
