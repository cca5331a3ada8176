"""A table while it is made: cells done, what is running and how fast, the time left, and the best so far.

A terminal has it drawn anew in its place; a file has a line for each cell.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from softprompt.compare.cells import Cell, method_label, short_backbone
from softprompt.compare.executor import Event
from softprompt.compare.pace import Pace
from softprompt.errors import shortened, shown
from softprompt.progress import duration

_DRAWN = 4  # times a second
_WIDTH = 100
_BEST = 8  # tasks whose best is shown


@dataclass
class _Running:
    """A cell in hand."""

    begun: float
    step: Event | None = None
    since: float = 0.0  # when its piece of work began
    before: int = 0  # what of that was done then, by a run that goes on

    def hear(self, event: Event) -> None:
        if self.step is None or self.step.work != event.work:
            self.since, self.before = time.monotonic(), event.done
        self.step = event

    def told(self) -> tuple[str, str]:
        """What is done of its piece of work, and at which rate."""
        step = self.step
        if step is None:
            return "begins", ""
        rate = (step.done - self.before) / max(time.monotonic() - self.since, 1e-9)
        left = f", {duration((step.total - step.done) / rate)} left" if rate and step.total else ""
        return f"{step.work} {step.done}/{step.total}", f"{rate:.1f} {step.unit}/s{left}" if rate else ""


@dataclass
class Board:
    """How a table stands.

    Attributes:
        cells: of the plan, by name.
        done: how many are finished.
        failed: how many failed.
        left: the names of those that are to be done or in hand.
        workers: that work at a time.
        values: of the cells that are finished, by name.
        rows: that each cell trains on, by name.
        pace: of the cells that were finished while this looked on.
    """

    cells: Mapping[str, Cell]
    done: int
    failed: int
    left: set[str]
    workers: int
    values: dict[str, float]
    rows: Mapping[str, int]
    running: dict[str, _Running] = field(default_factory=dict)
    pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        """Nothing ended yet."""
        self.pace = Pace(self.cells, self.rows)

    def hear(self, event: Event) -> None:
        """Take an event."""
        if event.kind == "begun":
            self.running[event.job] = _Running(time.monotonic())
        elif event.kind == "step" and event.job in self.running:
            self.running[event.job].hear(event)
        elif event.kind in ("done", "failed", "stopped", "lost"):
            begun = self.running.pop(event.job, None)
            self.done += event.kind == "done"
            self.failed += event.kind == "failed"
            self.left -= {event.job} if event.kind in ("done", "failed") else set()
            value = event.found.get("value")
            if event.kind == "done" and isinstance(value, float):
                self.values[event.job] = value
            if event.kind == "done" and begun is not None:
                self.pace.seconds[event.job] = time.monotonic() - begun.begun

    def time_left(self) -> float | None:
        """Seconds until the last cell ends, as those that ended took; None before one did, 0 where one is late."""
        now, seconds = time.monotonic(), 0.0
        for name in self.left:
            expected, running = self.pace.expected(name), self.running.get(name)
            if expected is None:
                return None
            seconds += max(expected - (now - running.begun if running is not None else 0.0), 0.0)
        return seconds / max(min(self.workers, len(self.left)), 1)

    def head(self) -> str:
        """The whole in a line."""
        left = self.time_left()
        failed = f", {self.failed} failed" if self.failed else ""
        told = f", about {duration(left)} left" if left else ""
        hand = (
            f"{len(self.running)} running"
            if self.running or self.pace.seconds or not self.left
            else "the workers begin"
        )
        return f"{self.done} of {len(self.cells)} cells done{failed}, {hand}{told}"

    def best(self) -> list[str]:
        """The best method so far of each task and backbone, by the mean of its seeds."""
        groups: dict[tuple[object, ...], dict[str, list[float]]] = {}
        for name, value in self.values.items():
            cell = self.cells[name]
            label = method_label(cell.method, cell.preset, {**cell.method_options, **cell.training_options})
            group = (Path(cell.task or cell.data or "").stem, short_backbone(cell.backbone), cell.shots)
            groups.setdefault(group, {}).setdefault(label, []).append(value)
        return [self._best_line(group, found) for group, found in groups.items()]

    def _best_line(self, group: Sequence[object], found: Mapping[str, Sequence[float]]) -> str:
        label = max(found, key=lambda one: mean(found[one]))
        count = len(found[label])
        task, backbone, shots = group
        few = "" if shots is None else f", {shots} shots"
        seeds = "1 seed" if count == 1 else f"{count} seeds"
        return f"{task} on {backbone}{few}: {label} {mean(found[label]):.3f} ({seeds})"


class LiveBoard:
    """A board on a console.

    Args:
        board: that is shown.
        shown: whether anything is written.
        console: where; standard error by default.
    """

    def __init__(self, board: Board, shown: bool = True, console: Console | None = None) -> None:
        """See the class."""
        self._board, self._shown, self._console = board, shown, console or Console(stderr=True)
        self._live: Live | None = None
        self._told: set[str] = set()  # warnings: most of a table's cells have the same

    def __enter__(self) -> Self:
        """Begin to draw, where there is a terminal."""
        if self._shown and self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=_DRAWN, get_renderable=self._drawn)
            self._live.start()
        return self

    def __exit__(self, *raised: object) -> None:
        """Leave what was drawn last."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def hear(self, event: Event) -> None:
        """Take an event, and tell the end of a cell."""
        self._board.hear(event)
        if line := self._line(event):
            self.say(line)

    def say(self, line: str) -> None:
        """One line, above what is drawn."""
        if self._shown:
            self._console.print(Text(shown(line)), soft_wrap=True)

    def _line(self, event: Event) -> str:
        """What is told of an event in a line of its own; nothing of most."""
        if event.kind == "done":
            value = event.found.get("value")
            figure = f"{event.found.get('metric')} {value:.3f}" if isinstance(value, float) else "done"
            return f"{event.job}: {figure}" + ("" if self._live is not None else f"  ({self._board.head()})")
        if event.kind == "told":
            new = event.line not in self._told
            self._told.add(event.line)
            return f"{event.job}: {event.line}" if new else ""
        return {"failed": f"failed: {event.job}: {event.line}", "lost": f"{event.job}: {event.line}"}.get(
            event.kind, ""
        )

    def _drawn(self) -> Group:
        board = self._board
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        for name, running in board.running.items():
            work, rate = running.told()
            note = running.step.note if running.step is not None else ""
            table.add_row(*(Text(shown(one), no_wrap=True, overflow="ellipsis") for one in (name, work, rate, note)))
        best = [Text(shown(shortened(f"best: {line}", _WIDTH))) for line in board.best()[:_BEST]]
        return Group(Text(board.head(), "bold"), table, *best)
