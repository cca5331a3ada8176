"""A table is made: what of a plan is done already, what is left, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from softprompt.backbones.source import name_alone
from softprompt.compare.cells import Cell, method_label
from softprompt.compare.executor import Event, Executor
from softprompt.compare.ledger import Ledger, Outcome
from softprompt.compare.planned import Planned
from softprompt.compare.queue import work_off
from softprompt.errors import SoftPromptError
from softprompt.files.places import CELLS, METRICS
from softprompt.guards.paths import entries
from softprompt.training.fitting.kept_files import forget_kept


@dataclass(frozen=True)
class Standing:
    """How a plan stands before anything is begun.

    Attributes:
        done: cells that are finished.
        failed: cells that failed and are not tried again.
        left: cells to be done, in their order.
        others: folders beside the cells that are of none of them.
    """

    done: tuple[Cell, ...]
    failed: tuple[Cell, ...]
    left: tuple[Cell, ...]
    others: tuple[str, ...]


def standing(plan: Planned, folder: Path, ledger: Ledger, *, retry: bool) -> Standing:
    """Sort a plan's cells.

    Args:
        plan: the cells.
        folder: of the table.
        ledger: of it.
        retry: what failed is tried again.
    """
    sorted_out: dict[str, list[Cell]] = {"done": [], "failed": [], "left": []}
    for cell in plan.cells:
        known = ledger.outcome(cell.name, plan.digests[cell.name])
        state = "left" if known is None else known.state
        if (state == "done" and not (Path(cell.folder) / METRICS).is_file()) or (state == "failed" and retry):
            state = "left"
        sorted_out[state].append(cell)
    own = {cell.name for cell in plan.cells}
    there = entries(folder / CELLS) if (folder / CELLS).is_dir() else []
    others = tuple(path.name for path in there if path.is_dir() and path.name not in own and path.name[0] != ".")
    done, failed, left = (tuple(sorted_out[state]) for state in ("done", "failed", "left"))
    return Standing(done, failed, left, others)


def make(
    cells: Iterable[Cell],
    plan: Planned,
    executor: Executor[Cell],
    ledger: Ledger,
    hear: Callable[[Event], None],
    stopping: Callable[[], bool],
) -> dict[str, Event]:
    """Have cells done, and note how each of them ended.

    Args:
        cells: that are left.
        plan: they are of.
        executor: that does them.
        ledger: of the table.
        hear: told of every event.
        stopping: whether it was asked to stop since it was last called.

    Returns:
        The end of each cell that ended.
    """
    by_name = {cell.name: cell for cell in plan.cells}

    def noting(event: Event) -> None:
        if event.kind in ("done", "failed"):
            ledger.note(event.job, _outcome(plan, by_name[event.job], event))
        hear(event)

    ends = work_off(cells, executor, noting, stopping)
    if all(ledger.outcome(cell.name, plan.digests[cell.name]) for cell in plan.cells):
        for folder in {Path(cell.folder).parent for cell in plan.cells}:
            forget_kept(folder)
    return ends


def _outcome(plan: Planned, cell: Cell, event: Event) -> Outcome:
    label = method_label(cell.method, cell.preset, {**cell.method_options, **cell.training_options})
    outcome = Outcome(
        digest=plan.digests[cell.name],
        state="done" if event.kind == "done" else "failed",
        line=event.line,
        task=plan.tasks[cell.name],
        method=label,
        backbone=name_alone(cell.backbone),
        shots=cell.shots,
        seed=cell.seed,
    )
    if event.kind == "failed":
        return outcome
    metric, value, seconds = (event.found.get(name) for name in ("metric", "value", "seconds"))
    if not isinstance(metric, str) or not isinstance(seconds, float):
        raise SoftPromptError(f"cell {event.job}: an executor told no metric and no seconds of it: tell its authors")
    value = value if isinstance(value, float) else None
    return outcome.model_copy(update={"metric": metric, "value": value, "seconds": seconds, "line": ""})
