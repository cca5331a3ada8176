"""The executor of one machine without its processes, each of which takes seconds to begin."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Literal, Self

from softprompt.compare.cells import Cell
from softprompt.compare.doing import CellWork, Request
from softprompt.compare.executor import Event


class OneProcess:
    """Does what the workers of `softprompt.compare.local.LocalExecutor` do, in this process, and is made as that is."""

    def __init__(self, workers: int, threads: int, kind: Literal["train", "look"] = "train") -> None:
        self.workers, self._kind = workers, kind
        self._waiting: deque[Cell] = deque()
        self._cells = CellWork()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        pass

    def submit(self, job: Cell) -> None:
        self._waiting.append(job)

    def events(self) -> Iterator[Event]:
        while self._waiting:
            request, told = Request(kind=self._kind, cell=self._waiting.popleft()), list[Event]()
            yield Event(kind="begun", job=request.cell.name)
            end = self._cells.end(request, told.append)
            yield from (*told, end)

    def stop(self) -> None:
        self._waiting.clear()
