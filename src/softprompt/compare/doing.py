"""A cell is done in this process, whoever handed it over; a backbone and the tasks stay loaded from cell to cell."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue

from softprompt.backbones.backbone import Backbone
from softprompt.backbones.freed import give_back
from softprompt.backbones.load import load_backbone
from softprompt.compare.cells import Cell, LoadedTasks, train_cell
from softprompt.compare.executor import Event, Paused
from softprompt.compare.outlook import outlook
from softprompt.errors import SoftPromptError, shortened
from softprompt.guards.paths import reason
from softprompt.progress import Progress
from softprompt.training.hold import FolderInUse

Send = Callable[[Event], None]
_WARNING = "warning:"
_OFTEN = 0.2  # seconds between two events of a step
_PATIENCE = 60.0  # seconds that the worker of an earlier table has to leave a cell


class Request(BaseModel):
    """What a worker is asked to do with a cell: to train it, or to measure what it will cost."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["train", "look"]
    cell: Cell


class _Reporting(Progress):
    """Progress as events."""

    def __init__(self, send: Send, job: str) -> None:
        super().__init__(shown=False)
        self._send, self._job = send, job

    def say(self, message: str) -> None:
        """Tell a warning; what else a run says of itself stands in its files."""
        if message.strip().startswith(_WARNING):
            self._send(Event(kind="told", job=self._job, line=message.strip()))

    @contextmanager
    def work(self, name: str, total: int, unit: str) -> Iterator[Callable[..., None]]:
        """Tell one piece of work."""
        so_far, told, count, word = 0, 0.0, total, ""

        def advance(done: int = 1, note: str | None = None, total: int | None = None) -> None:
            nonlocal so_far, told, count, word
            so_far, count, word = so_far + done, count if total is None else total, word if note is None else note
            if time.monotonic() - told >= _OFTEN:
                told = time.monotonic()
                step = {"work": name, "done": so_far, "total": count, "unit": unit, "note": word}
                self._send(Event(kind="step", job=self._job, **step))

        advance(0)
        yield advance


class CellWork:
    """Does cells, one after the other."""

    def __init__(self) -> None:
        """Nothing is loaded yet."""
        self._loaded: tuple[tuple[str, str, str | None], Backbone] | None = None
        self._tasks = LoadedTasks()

    def end(self, request: Request, send: Send) -> Event:
        """Do what is asked; how it ended.

        Args:
            request: the cell.
            send: told of its steps, between two of which nothing is written.
        """
        job = request.cell.name
        try:
            return self._done(request, send)
        except KeyboardInterrupt as stop:
            return Event(kind="stopped", job=job, line=str(stop))
        except Exception as error:  # one cell's fault, whatever it is, is no other's
            if not isinstance(error, SoftPromptError):
                traceback.print_exc()
            return Event(kind="failed", job=job, line=_line(error))
        finally:
            give_back()  # of a worker, which stays: the next cell may be a small one, and another worker's a large one

    def _done(self, request: Request, send: Send) -> Event:
        cell = request.cell
        backbone, task = self._backbone(cell), self._tasks.of(cell)
        if request.kind == "look":
            return Event(kind="done", job=cell.name, found=outlook(cell, backbone, task).model_dump())
        begun = time.monotonic()
        show = _Reporting(send, cell.name)
        while True:
            try:
                record = train_cell(cell, backbone, task, show).record
                break
            except Paused:
                return Event(kind="paused", job=cell.name, found={"seconds": round(time.monotonic() - begun, 3)})
            except FolderInUse:
                if time.monotonic() - begun > _PATIENCE:
                    raise
                time.sleep(0.5)
        value = record.test.figures().get(record.metric)
        found: dict[str, JsonValue] = {"metric": record.metric, "value": value}
        return Event(kind="done", job=cell.name, found={**found, "seconds": round(time.monotonic() - begun, 3)})

    def _backbone(self, cell: Cell) -> Backbone:
        """The backbone of a cell, which takes the place of another."""
        if self._loaded is None or self._loaded[0] != cell.loading:
            self._loaded = None
            self._loaded = cell.loading, load_backbone(cell.backbone, dtype=cell.dtype, device=cell.device)
        return self._loaded[1]


def _line(error: Exception) -> str:
    """A fault in one line."""
    if isinstance(error, SoftPromptError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename or 'the system'}: {reason(error)}"
    if isinstance(error, MemoryError) or "out of memory" in str(error) or "DefaultCPUAllocator" in str(error):
        return "there is not enough memory: take fewer workers, a smaller batch_size or a smaller backbone"
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {shortened(text, 300)}: a fault of the library, please tell its authors"
