"""A worker process: it takes cells, one a line, and answers with events, one a line (`softprompt.compare.local`).

Its backbone and its tasks stay loaded from cell to cell. It ends with its cell written where its parent asks it to
(SIGTERM), and where the parent is gone.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, TextIO

from pydantic import BaseModel, ConfigDict, JsonValue

from softprompt.backbones.backbone import Backbone
from softprompt.backbones.load import load_backbone
from softprompt.compare.cells import Cell, LoadedTasks, train_cell
from softprompt.compare.executor import Event
from softprompt.compare.outlook import outlook
from softprompt.errors import SoftPromptError, shortened
from softprompt.guards.paths import reason
from softprompt.progress import Progress
from softprompt.training.hold import FolderInUse

_WARNING = "warning:"
_OFTEN = 0.2  # seconds between two events of a step
_PATIENCE = 60.0  # seconds that the worker of an earlier table has to leave a cell


class Request(BaseModel):
    """What a worker is asked to do with a cell: to train it, or to measure what it will cost."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["train", "look"]
    cell: Cell


class _Reporting(Progress):
    """Progress as events."""

    def __init__(self, send: Callable[[Event], None], job: str) -> None:
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


class _Worker:
    """Does what it is asked, one thing after the other."""

    def __init__(self, requests: TextIO, answers: TextIO) -> None:
        self._requests, self._answers = requests, answers
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._busy = False
        self._loaded: tuple[tuple[str, str, str | None], Backbone] | None = None
        self._tasks = LoadedTasks()

    def work(self) -> None:
        """Work until the parent has nothing more, or is gone."""
        threading.Thread(target=self._listen, daemon=True).start()
        while (line := self._waiting.get()) is not None:
            self._busy = True
            request = Request.model_validate_json(line)
            self._send(Event(kind="begun", job=request.cell.name))
            end = self._ended(request)
            self._send(end)
            if end.kind == "stopped":
                return
            self._busy = False

    def _listen(self) -> None:
        """Read what comes; where the parent goes while something is done, stop that."""
        for line in self._requests:
            self._waiting.put(line)
        self._waiting.put(None)
        if self._busy:
            os.kill(os.getpid(), signal.SIGTERM)

    def _send(self, event: Event) -> None:
        try:
            self._answers.write(event.model_dump_json(exclude_defaults=True) + "\n")
            self._answers.flush()
        except BrokenPipeError:  # the parent is gone; what was done stands in its folder
            sys.exit(1)

    def _ended(self, request: Request) -> Event:
        """Do it; how it ended."""
        job = request.cell.name
        try:
            return Event(kind="done", job=job, found=self._done(request))
        except KeyboardInterrupt as stop:
            return Event(kind="stopped", job=job, line=str(stop))
        except Exception as error:  # one cell's fault, whatever it is, is no other's
            if not isinstance(error, SoftPromptError):
                traceback.print_exc()
            return Event(kind="failed", job=job, line=_line(error))

    def _done(self, request: Request) -> dict[str, JsonValue]:
        cell = request.cell
        backbone, task = self._backbone(cell), self._tasks.of(cell)
        if request.kind == "look":
            return outlook(cell, backbone, task).model_dump()
        begun = time.monotonic()
        show = _Reporting(self._send, cell.name)
        while True:
            try:
                record = train_cell(cell, backbone, task, show).record
                break
            except FolderInUse:
                if time.monotonic() - begun > _PATIENCE:
                    raise
                time.sleep(0.5)
        value = record.test.figures().get(record.metric)
        return {"metric": record.metric, "value": value, "seconds": round(time.monotonic() - begun, 3)}

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


def main() -> None:
    """Work for the parent at standard input; whatever else is printed goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    _Worker(sys.stdin, answers).work()


if __name__ == "__main__":
    main()
