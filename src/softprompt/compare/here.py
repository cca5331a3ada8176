"""The executor of jobs whose backbone is in memory already: one after another, in this process."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from softprompt.compare.executor import Event, Job, Paused
from softprompt.errors import SoftPromptError

JobT = TypeVar("JobT", bound=Job)


class HereExecutor(Generic[JobT]):
    """Does jobs by a function, in the order in which they came.

    Args:
        do: a job; a `SoftPromptError` of it is the job's failure, an interruption stops everything.

    Attributes:
        faults: what the jobs that failed raised, by their names.
    """

    def __init__(self, do: Callable[[JobT], None]) -> None:
        """See the class."""
        self._do = do
        self._waiting: deque[JobT] = deque()
        self.faults: dict[str, SoftPromptError] = {}

    def submit(self, job: JobT) -> None:
        """Take a job."""
        self._waiting.append(job)

    def events(self) -> Iterator[Event]:
        """Do what was submitted."""
        while self._waiting:
            job = self._waiting.popleft()
            yield Event(kind="begun", job=job.name)
            yield self._end(job)

    def stop(self) -> None:
        """Drop what waits."""
        self._waiting.clear()

    def _end(self, job: JobT) -> Event:
        begun = time.monotonic()
        try:
            self._do(job)
        except SoftPromptError as error:
            self.faults[job.name] = error
            return Event(kind="failed", job=job.name, line=str(error))
        except Paused:
            return Event(kind="paused", job=job.name, found={"seconds": time.monotonic() - begun})
        except KeyboardInterrupt as stop:
            self.stop()
            return Event(kind="stopped", job=job.name, line=str(stop))
        return Event(kind="done", job=job.name, found={"seconds": time.monotonic() - begun})
