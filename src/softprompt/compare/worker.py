"""A worker process: it takes cells, one a line, and answers with events, one a line (`softprompt.compare.local`).

It ends with its cell written where its parent asks it to (SIGTERM), and where the parent is gone.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from typing import TextIO

from softprompt.compare.child import answers
from softprompt.compare.doing import CellWork, Request
from softprompt.compare.executor import Event


class _Worker:
    """Does what it is asked, one thing after the other."""

    def __init__(self, requests: TextIO, answers: TextIO) -> None:
        self._requests, self._answers = requests, answers
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._busy = False
        self._cells = CellWork()

    def work(self) -> None:
        """Work until the parent has nothing more, or is gone."""
        threading.Thread(target=self._listen, daemon=True).start()
        while (line := self._waiting.get()) is not None:
            self._busy = True
            request = Request.model_validate_json(line)
            self._send(Event(kind="begun", job=request.cell.name))
            end = self._cells.end(request, self._send)
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


def main() -> None:
    """Work for the parent at standard input."""
    _Worker(sys.stdin, answers()).work()


if __name__ == "__main__":
    main()
