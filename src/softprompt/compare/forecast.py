"""What a table will cost: one cell of each method, task and backbone is measured, and stands for its seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from softprompt.compare.cells import Cell, kind_of
from softprompt.compare.executor import Event
from softprompt.compare.local import LocalExecutor
from softprompt.compare.making import Standing
from softprompt.compare.outlook import Outlook
from softprompt.compare.planned import Planned
from softprompt.compare.queue import work_off
from softprompt.errors import Interrupted
from softprompt.progress import Progress, duration


class _Forecasts(BaseModel):
    """A value of these."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class CellForecast(_Forecasts):
    """A cell, and what it will cost.

    Attributes:
        name: of the cell.
        state: it is finished, or to be done.
        rows: that it trains, validates and tests on.
        outlook: what it will cost; None where that cannot be told.
        fault: why not: the cell cannot be.
    """

    name: str
    state: Literal["done", "left"]
    rows: tuple[int, int, int]
    outlook: Outlook | None = None
    fault: str = ""

    def told(self) -> tuple[str, ...]:
        """Its row of a table."""
        rows = " / ".join(map(str, self.rows))
        if self.state == "done":
            return self.name, rows, "", "done", ""
        if self.outlook is None:
            return self.name, rows, "", "cannot be", ""
        seconds = f"{'> ' if self.outlook.least else ''}{duration(self.outlook.seconds)}"
        return self.name, rows, str(self.outlook.steps), seconds, _gigabytes(self.outlook.memory)


class Forecast(_Forecasts):
    """What a table will cost.

    Attributes:
        cells: each of the plan.
    """

    cells: tuple[CellForecast, ...]

    def lines(self, workers: int) -> list[str]:
        """The whole in words, with so many workers."""
        left = [one.outlook for one in self.cells if one.outlook is not None]
        done = sum(one.state == "done" for one in self.cells)
        seconds = sum(one.seconds for one in left)
        memory = max((one.memory for one in left), default=0) * workers
        more = " or more" if any(one.least for one in left) else ""
        each = "1 worker" if workers == 1 else f"{workers} workers"
        faults = list(dict.fromkeys(f"{one.fault}" for one in self.cells if one.fault))
        bad = sum(bool(one.fault) for one in self.cells)
        return [
            *(f"cannot be: {fault}" for fault in faults),
            "rows: trained / validated / tested on; steps and times: where nothing stops early",
            f"{len(self.cells)} cells: {done} done, {len(left)} to do" + (f", {bad} that cannot be" if bad else ""),
            f"about {duration(seconds / workers)}{more} with {each}, {_gigabytes(memory)} of memory together",
        ]


def forecast(plan: Planned, stands: Standing, threads: int, show: Progress) -> Forecast:
    """Measure what is left of a plan, one cell after another; nothing is written.

    Args:
        plan: the cells.
        stands: which of them are finished.
        threads: of a worker.
        show: progress.

    Raises:
        Interrupted: it was asked to stop.
    """
    like: dict[str, Cell] = {}
    for cell in stands.left:
        like.setdefault(kind_of(cell), cell)
    ends = _measured(tuple(like.values()), threads, show)
    done = {cell.name for cell in stands.done}
    found = []
    for cell in plan.cells:
        end = None if cell.name in done else ends[like[kind_of(cell)].name]
        own = Outlook.model_validate(end.found) if end is not None and end.kind == "done" else None
        fault = end.line if end is not None and own is None else ""
        state: Literal["done", "left"] = "done" if cell.name in done else "left"
        found.append(CellForecast(name=cell.name, state=state, rows=plan.rows[cell.name], outlook=own, fault=fault))
    return Forecast(cells=tuple(found))


def _measured(cells: Sequence[Cell], threads: int, show: Progress) -> dict[str, Event]:
    """One worker measures: others beside it would make each slower than a table's are."""
    with (
        LocalExecutor(1, threads, "look") as executor,
        show.work("measuring a step of each", len(cells), "cells") as tick,
    ):

        def hear(event: Event) -> None:
            if event.kind in ("done", "failed"):
                tick(1, note=event.job)

        ends = work_off(cells, executor, hear)
    if len(ends) < len(cells):
        raise Interrupted("stopped before every step was measured")
    return ends


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
