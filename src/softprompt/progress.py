"""Progress of long work: what is done, at which rate, how long it still takes.

A terminal has a bar that moves, a notebook one output of its cell that is drawn anew in its place, a file a line every
ten seconds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from importlib import import_module
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from softprompt.errors import shown

_EVERY = 10.0  # seconds between lines where there is no terminal to redraw
_REDRAWN = 0.2  # seconds between two drawings of a notebook's output


class _Rate(ProgressColumn):
    """Units a second."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.1f} {task.fields['unit']}/s", style="cyan")


class _Counted:
    """A piece of work: what is done of it, since when."""

    def __init__(self, name: str, total: int, unit: str) -> None:
        self.name, self.total, self.unit = name, total, unit
        self.begun, self.done, self.note = time.monotonic(), 0, ""

    @property
    def share(self) -> float:
        """How much is done, from 0 to 1."""
        return min(self.done / self.total, 1.0) if self.total else 0.0

    def add(self, done: int, note: str | None, total: int | None) -> None:
        """Count what was done."""
        self.done += done
        self.note = self.note if note is None else shown(note)
        self.total = self.total if total is None else total

    def line(self) -> str:
        """What is done, at which rate, and what is left."""
        rate = self.done / max(time.monotonic() - self.begun, 1e-9)
        left = (self.total - self.done) / rate if rate else float("inf")
        told = f", {rate:.1f} {self.unit}/s, {left:.0f} s left" if self.done else ""
        return f"{self.name}: {self.done}/{self.total} {self.unit}{told}  {self.note}".rstrip()

    def last_line(self) -> str:
        """What was done, and how long it took."""
        took = time.monotonic() - self.begun
        return f"{self.name}: {self.done}/{self.total} {self.unit} in {took:.1f} s  {self.note}".rstrip()


class _Pane:
    """One output of a notebook's cell: what was said, and a bar for each piece of work."""

    def __init__(self, shell: Any) -> None:
        self.cell: object = shell.execution_count
        self.parts: list[tuple[str, float | None]] = []  # a line, and how much of its work is done
        self.drawn = 0.0
        self.handle: Any = None

    def put(self, place: int | None, line: str, share: float | None = None, *, now: bool = True) -> int:
        """Write a line, or write one anew, with the share of a bar; drawn at once, or where it is time."""
        if place is None:
            place = len(self.parts)
            self.parts.append((line, share))
        self.parts[place] = line, share
        if now or time.monotonic() - self.drawn >= _REDRAWN:
            self.draw()
        return place

    def draw(self) -> None:
        """Show all, in the place of what was shown before."""
        self.drawn = time.monotonic()
        html = "".join(f'<div style="font-variant-numeric:tabular-nums">{_bar(*part)}</div>' for part in self.parts)
        data = {"text/plain": "\n".join(line for line, _ in self.parts), "text/html": html}
        if self.handle is None:
            self.handle = import_module("IPython.display").display(data, raw=True, display_id=True)
        else:
            self.handle.update(data, raw=True)


def _bar(line: str, share: float | None) -> str:
    if share is None:
        return escape(line)
    return f'<progress max="1" value="{share:.4f}" style="width:12em;vertical-align:middle"></progress> {escape(line)}'


def duration(seconds: float) -> str:
    """A time as it is read: `0.4 s`, `40 s`, `12 min`, `3 h 20 min`.

    Example:
        >>> from softprompt.progress import duration
        >>> duration(12_000)
        '3 h 20 min'
    """
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def notebook() -> Any:
    """The shell of a notebook's kernel, which shows HTML; None elsewhere."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return shell if getattr(shell, "kernel", None) is not None else None


class Progress:
    """Shows long work on a console, or nothing at all.

    Args:
        shown: whether anything is written.
    """

    def __init__(self, shown: bool = True) -> None:
        """See the class."""
        self.shown = shown
        self.console = Console(stderr=True)
        self._pane: _Pane | None = None

    def say(self, message: str) -> None:
        """One line."""
        if self.shown and (pane := self._notebook()) is not None:
            pane.put(None, shown(message))
        elif self.shown:
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
        elif (pane := self._notebook()) is not None:
            yield from self._drawn(pane, name, total, unit)
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

    def _notebook(self) -> _Pane | None:
        """The output of the cell that runs; None where this is no notebook."""
        shell = notebook()
        if shell is not None and (self._pane is None or self._pane.cell != shell.execution_count):
            self._pane = _Pane(shell)
        return None if shell is None else self._pane

    def _drawn(self, pane: _Pane, name: str, total: int, unit: str) -> Iterator[Callable[..., None]]:
        counted = _Counted(name, total, unit)
        place = pane.put(None, counted.line(), 0.0)

        def advance(done: int = 1, note: str | None = None, total: int | None = None) -> None:
            counted.add(done, note, total)
            pane.put(place, counted.line(), counted.share, now=False)

        yield advance
        pane.put(place, counted.last_line(), counted.share)

    def _lines(self, name: str, total: int, unit: str) -> Iterator[Callable[..., None]]:
        counted = _Counted(name, total, unit)
        told = counted.begun

        def advance(done: int = 1, note: str | None = None, total: int | None = None) -> None:
            nonlocal told
            counted.add(done, note, total)
            now = time.monotonic()
            if now - told >= _EVERY and counted.done < counted.total:
                told = now
                print(counted.line(), file=sys.stderr, flush=True)

        yield advance
        print(counted.last_line(), file=sys.stderr, flush=True)
