"""The executor of one machine: worker processes, each with its share of the threads and one backbone at a time.

A worker takes the cells of the backbone that it has first. One that dies (a kill, a machine without memory) costs its
cell one more try, which goes on where the run's state was written last. Where the parent is killed, they write their
state and leave.
"""

from __future__ import annotations

import queue
import signal
from collections.abc import Iterator
from typing import Literal, Self

from pydantic import ValidationError

from softprompt.compare.cells import Cell
from softprompt.compare.child import Child
from softprompt.compare.doing import Request
from softprompt.compare.executor import ENDS, Event

_IDLE = 0.2  # seconds without news

_News = tuple["_Process", str | None]


class _Process(Child):
    """A worker's process, its cell and its backbone."""

    def __init__(self, threads: int, news: queue.SimpleQueue[_News]) -> None:
        self.cell: Cell | None = None
        self.backbone: tuple[str, str, str | None] | None = None
        own = {"OMP_NUM_THREADS": str(threads)}
        super().__init__("softprompt.compare.worker", own, lambda line: news.put((self, line)))

    def give(self, request: Request) -> None:
        """Hand a cell over."""
        self.cell, self.backbone = request.cell, request.cell.loading
        self.say(request.model_dump_json(exclude_defaults=True))


class LocalExecutor:
    """Works cells off in processes of this machine; see `softprompt.compare.executor.Executor`.

    Args:
        workers: how many processes at the most.
        threads: of each.
        kind: what is done with a cell: it is trained, or looked at.

    Attributes:
        workers: at the most.
    """

    def __init__(self, workers: int, threads: int, kind: Literal["train", "look"] = "train") -> None:
        """See the class."""
        self.workers, self._threads, self._kind = workers, threads, kind
        self._waiting: list[Cell] = []
        self._processes: list[_Process] = []
        self._news: queue.SimpleQueue[_News] = queue.SimpleQueue()
        self._lost: set[str] = set()
        self._stops = 0

    def __enter__(self) -> Self:
        """Nothing is begun yet."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Let the processes leave; what is in hand is stopped."""
        for process in self._processes:
            if process.cell is not None:
                process.signal(signal.SIGTERM)
            process.leave()
        for process in self._processes:
            process.left()
        self._processes.clear()

    def submit(self, job: Cell) -> None:
        """Take a cell."""
        self._waiting.append(job)

    def events(self) -> Iterator[Event]:
        """What happens, until every cell has ended."""
        while self._waiting or any(one.cell is not None for one in self._processes):
            self._hand_out()
            try:
                process, line = self._news.get(timeout=_IDLE)
            except queue.Empty:
                yield Event(kind="idle")
                continue
            yield from self._gone(process) if line is None else self._heard(process, line)

    def stop(self) -> None:
        """Drop what waits, and ask what is in hand to stop; asked again, kill it."""
        self._stops += 1
        self._waiting.clear()
        for process in self._processes:
            if process.cell is not None:
                process.signal(signal.SIGTERM if self._stops == 1 else signal.SIGKILL)

    def _hand_out(self) -> None:
        """Give a cell to each process that has none, and begin as many processes as there is work for."""
        idle = [one for one in self._processes if one.cell is None]
        while self._waiting and (idle or len(self._processes) < self.workers):
            process = idle.pop() if idle else self._begun()
            cell = self._chosen(process)
            self._waiting.remove(cell)
            process.give(Request(kind=self._kind, cell=cell))

    def _begun(self) -> _Process:
        self._processes.append(_Process(self._threads, self._news))
        return self._processes[-1]

    def _chosen(self, process: _Process) -> Cell:
        """The next cell of the backbone that a process has, or of one that no other has, or any."""
        others = {one.backbone for one in self._processes if one is not process}
        own = (one for one in self._waiting if one.loading == process.backbone)
        new = (one for one in self._waiting if one.loading not in others)
        return next(own, None) or next(new, None) or self._waiting[0]

    def _heard(self, process: _Process, line: str) -> Iterator[Event]:
        try:
            event = Event.model_validate_json(line)
        except ValidationError:  # cut off by a kill: the end of the process tells
            return
        if event.kind in ENDS:
            process.cell = None
        yield event

    def _gone(self, process: _Process) -> Iterator[Event]:
        """A process has left: its cell, if it had one, is tried once more."""
        self._processes.remove(process)
        why, cell = process.left(), process.cell
        if cell is None:
            return
        if self._stops:
            yield Event(kind="stopped", job=cell.name, line="stopped before its next state was written")
        elif cell.name in self._lost:
            yield Event(kind="failed", job=cell.name, line=f"its worker ended twice ({why}): try it by itself")
        else:
            self._lost.add(cell.name)
            self._waiting.insert(0, cell)
            yield Event(kind="lost", job=cell.name, line=f"its worker ended ({why}); it goes on in another")
