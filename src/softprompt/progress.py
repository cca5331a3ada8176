"""Progress of long work: what is done, at which rate, how long it still takes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from softprompt.errors import shown

_EVERY = 10.0  # seconds between lines where there is no terminal to redraw


class _Rate(ProgressColumn):
    """Units a second."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.1f} {task.fields['unit']}/s", style="cyan")


class Progress:
    """Shows long work on a console, or nothing at all.

    Args:
        shown: whether anything is written.
    """

    def __init__(self, shown: bool = True) -> None:
        """See the class."""
        self.shown = shown
        self.console = Console(stderr=True)

    def say(self, message: str) -> None:
        """One line."""
        if self.shown:
            self.console.print(Text(shown(message)), soft_wrap=True)

    @contextmanager
    def work(self, name: str, total: int, unit: str) -> Iterator[Callable[..., None]]:
        """Show one piece of work.

        Args:
            name: what is done.
            total: how many units.
            unit: of what.

        Yields:
            A function to call with the units done since the last call, `note=` for a word beside the bar, and `total=`
            once it is known.
        """
        name = shown(name)
        if not self.shown:
            yield lambda done=1, note=None, total=None: None
        elif self.console.is_terminal:
            yield from self._bar(name, total, unit)
        else:
            yield from self._lines(name, total, unit)

    def _bar(self, name: str, total: int, unit: str) -> Iterator[Callable[..., None]]:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _Rate(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Bars(*columns, console=self.console) as bars:
            task = bars.add_task(name, total=total, unit=unit, note="")

            def advance(done: int = 1, note: str | None = None, total: int | None = None) -> None:
                bars.update(task, advance=done, total=total)
                if note is not None:
                    bars.update(task, note=shown(note))

            yield advance

    def _lines(self, name: str, total: int, unit: str) -> Iterator[Callable[..., None]]:
        begun = told = time.monotonic()
        done_so_far, last_note, goal = 0, "", total

        def advance(done: int = 1, note: str | None = None, total: int | None = None) -> None:
            nonlocal told, done_so_far, last_note, goal
            done_so_far += done
            last_note = last_note if note is None else shown(note)
            goal = goal if total is None else total
            now = time.monotonic()
            if now - told >= _EVERY and done_so_far < goal:
                told = now
                rate = done_so_far / max(now - begun, 1e-9)
                left = (goal - done_so_far) / rate if rate else float("inf")
                line = f"{name}: {done_so_far}/{goal} {unit}, {rate:.1f} {unit}/s, {left:.0f} s left"
                print(f"{line}  {last_note}".rstrip(), file=sys.stderr, flush=True)

        yield advance
        line = f"{name}: {done_so_far}/{goal} {unit} in {time.monotonic() - begun:.1f} s"
        print(f"{line}  {last_note}".rstrip(), file=sys.stderr, flush=True)
