"""What `softprompt search` has done: the trials, and then the default and what was found on all seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from softprompt.cli.compare import make_cells
from softprompt.cli.placing import Place, workers_here
from softprompt.cli.plans import WHERE
from softprompt.errors import Interrupted, SoftPromptError

if TYPE_CHECKING:
    from pydantic import JsonValue

    from softprompt.compare.cells import Cell
    from softprompt.compare.planned import Planned
    from softprompt.compare.search import Found, Search

_TRIALS = 20  # where neither trials nor minutes are given
_MANY = 2**16  # cells: as many as any number of workers could have in hand


def planned_cells(keys: Mapping[str, object], out: Path, dtype: str, device: str | None) -> Planned:
    """The cells of the runs on all seeds; faults are told, a line each."""
    from softprompt.compare.plan import PlanFaults, plan_of
    from softprompt.compare.planned import planned
    from softprompt.files.places import CELLS

    try:
        return planned(plan_of(keys, WHERE), WHERE, out.absolute() / CELLS, dtype, device)
    except PlanFaults as faults:
        raise SoftPromptError(faults.lines[0]) from None


def wanted_search(
    plan: Planned,
    over: list[str],
    folds: int | None,
    most: tuple[int | None, float | None],
    place: Place,
    *,
    halving: bool,
) -> tuple[Search, dict[str, JsonValue]]:
    """What is searched, and what it is of.

    Args:
        plan: with the cells of the default.
        over: the ranges, as they were typed.
        folds: of each trial; None for the usual number.
        most: trials and minutes, where they are given.
        place: where the cells are worked off.
        halving: trials are judged on the way.

    Raises:
        SoftPromptError: a fault in a range.
    """
    from softprompt.compare.cells import LoadedTasks
    from softprompt.compare.folding import usual_folds
    from softprompt.compare.ranges import typed_ranges
    from softprompt.compare.search import Search

    cell = plan.cells[0]
    count = folds or usual_folds(LoadedTasks().of(cell), cell.seed)
    processes, _ = workers_here(place.workers, _MANY)
    folder, trials = place.out.absolute(), _TRIALS if most == (None, None) else most[0]
    search = Search(cell, typed_ranges(over, cell), count, trials, most[1], processes, folder, halving)
    asked: dict[str, JsonValue] = {
        name: value
        for name, value in cell.model_dump(mode="json", exclude={"name", "folder", "fold", "seed"}).items()
        if name != "data"
    }
    return search, {**asked, "task and rows": plan.digests[cell.name]}


def searched(wanted: Search, asked: Mapping[str, JsonValue], place: Place, *, silent: bool) -> Found:
    """Try what is proposed."""
    from softprompt.compare.search import Searching
    from softprompt.progress import Progress
    from softprompt.training.process import stop_signal

    show = Progress(not silent)
    cells = wanted.folds * wanted.at_once if place.on is None else _MANY
    with stop_signal() as stop, place.executor(cells, silent=silent) as executor:

        def stopping() -> bool:
            now, stop["asked"] = stop["asked"], False
            if now:
                show.say("stopping: what runs writes its state; asked again, it ends at once")
            return now

        own = replace(wanted, workers=executor.workers)  # a cluster tells how many it has when it is joined
        return Searching(own, asked, executor, show, stopping).run()


def found_entry(entry: Mapping[str, JsonValue], found: Found, wanted: Search) -> list[dict[str, JsonValue]]:
    """The method with the options that were taken, as a plan has it; none where it is the default."""
    from softprompt.compare.beside import settings_of

    own = entry["set"]
    assert isinstance(own, dict)
    taken = settings_of(found, wanted.cell.method)
    return [{**entry, "set": {**own, **taken}}] if taken else []


def beside_default(plan: Planned, place: Place, *, silent: bool) -> dict[str, tuple[Cell, ...]]:
    """Have the default and what was taken trained on all seeds; the finished cells by the arms' names.

    Raises:
        Interrupted: it was stopped.
        SoftPromptError: one failed.
    """
    from softprompt.compare.beside import DEFAULT, FOUND
    from softprompt.compare.ledger import Ledger
    from softprompt.compare.making import standing
    from softprompt.progress import Progress

    out = place.out
    ledger = Ledger(out, Progress(not silent).say)
    make_cells(plan, standing(plan, out, ledger, retry=True), ledger, place, silent=silent)
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
