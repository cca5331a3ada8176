"""One thread that runs the model, and what waits for it: batches by arrival, and texts that are written meanwhile.

A row that finds the model idle waits `wait` seconds for others at most; one that finds it busy is in the next batch, or
in one of the next. Between two passes the thread sees what has come: new texts join those that are being written, each
of which is given one more token, and one batch of questions is answered; so neither keeps the other waiting for long.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, TypeAlias

from softprompt.errors import SoftPromptError
from softprompt.inference.predict import Answer
from softprompt.serving.engine import Engine, Question
from softprompt.serving.fair import FairQueue
from softprompt.serving.jobs import Scored, Written, fail, fulfil
from softprompt.serving.options import ServingOptions
from softprompt.serving.scribe import Scribe

_LOG = logging.getLogger(__name__)
_LATE = 20  # times `wait`: who has waited so long is not left out of a batch for being long
_SHARE = 0.5  # of the time that is left while the server stops, for one pass: a batch must not end too late as a whole
LATE = "the server has stopped before this was done: ask again"
Given: TypeAlias = Answer | list[float]


class Full(SoftPromptError):
    """The queue is full.

    Attributes:
        after: seconds in which there may be room.
    """

    def __init__(self, rows: int, after: float) -> None:
        super().__init__(f"{rows} rows wait already: try again in {after:.0f} s")
        self.after = after


class Closing(SoftPromptError):
    """The server stops.

    Attributes:
        after: seconds in which another one may be asked.
    """

    def __init__(self, message: str = "the server is stopping: ask another one") -> None:
        super().__init__(message)
        self.after = 1.0


class Watcher(Protocol):
    """Is told what the thread does."""

    def passed(self, kind: str, jobs: Sequence[Scored | Written], seconds: float, waited: Sequence[float]) -> None:
        """A pass of a kind (`answer`, `embedding`, `join`, `step`) has been made, with jobs that waited so long."""


class Batcher:
    """The queue of an engine, and the thread that works it off.

    Args:
        engine: the prompts over their model.
        options: limits and times.
        watcher: is told of each pass.

    Attributes:
        taken: questions that have left the queue for a pass.
    """

    def __init__(self, engine: Engine, options: ServingOptions, watcher: Watcher | None = None) -> None:
        """Start the thread."""
        self.engine, self.options, self._watcher = engine, options, watcher
        self._scored: FairQueue[Scored] = FairQueue(pads=engine.pads)
        self._written: FairQueue[Written] = FairQueue()
        self._unanswered: dict[object, Scored | Written] = {}
        self._scribe = Scribe(engine)
        self._some = threading.Condition()
        self._closing, self.taken = False, 0
        self._until: float | None = None  # when what was accepted must be done, once the server stops
        self._speed = 0.0  # columns a second, of the last passes
        self._thread = threading.Thread(target=self._run, name="softprompt-model", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Rows that wait."""
        with self._some:
            return len(self._scored) + len(self._written)

    @property
    def writing(self) -> int:
        """Texts that are being written."""
        return len(self._scribe.jobs)

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs and takes jobs on."""
        return self._thread.is_alive() and not self._closing

    def submit(self, jobs: Sequence[Scored | Written]) -> None:
        """Let the rows of one request wait, all or none.

        Raises:
            Full: there is no room for all of them.
            Closing: the server stops.
        """
        with self._some:
            if self._closing:
                raise Closing
            waiting = len(self._scored) + len(self._written)
            if waiting + len(jobs) > self.options.queue_rows:
                raise Full(waiting, self._room_in())
            for job in jobs:
                if isinstance(job, Scored):
                    self._scored.add(job)
                else:
                    self._written.add(job)
                self._unanswered[job.done] = job
                job.done.add_done_callback(self._answered)  # that knew the job would be a circle, and stay for long
            self._some.notify()

    def cancel(self, jobs: Sequence[Scored | Written]) -> None:
        """Take out the rows of a request that nobody waits for any more; what runs already is dropped."""
        with self._some:
            for job in jobs:
                job.done.cancel()
                if isinstance(job, Scored):
                    self._scored.remove(job)
                else:
                    self._written.remove(job)

    def drain(self) -> None:
        """The server stops: from now on there are `drain` seconds for what was accepted."""
        with self._some:
            self._until = self._until or time.monotonic() + self.options.drain

    def cut(self) -> int:
        """Take nothing on any more, and cancel whatever has no answer yet; how many rows that were."""
        with self._some:
            self._closing = True
            self._some.notify()
            left = [*self._unanswered.values()]
        self.cancel(left)
        return len(left)

    def close(self) -> None:
        """Take nothing on any more, work off what was accepted while there is time, and end the thread.

        What there is no time for is cancelled; a pass that runs then is waited for, as none can be left.
        """
        self.drain()
        with self._some:
            self._closing = True
            self._some.notify()
            left = (self._until or 0.0) - time.monotonic()
        self._thread.join(max(0.0, left))
        self.cut()
        self._thread.join()

    def _room_in(self) -> float:
        """Seconds until about half of what waits has been worked off."""
        waiting = self._scored.cost + self._written.cost
        return min(60.0, max(1.0, waiting / 2 / self._speed if self._speed else 1.0))

    def _run(self) -> None:
        while self._outlived():
            pass

    def _outlived(self) -> bool:
        """A round, whatever comes of it: were the thread to end by a fault, whoever asks would wait for ever."""
        try:
            return self._round()
        except BaseException as error:
            _LOG.exception("the model's thread failed between two passes; whatever waited is told")
            self._give_up(error if isinstance(error, Exception) else RuntimeError(repr(error)))
            return True

    def _round(self) -> bool:
        """Wait for something to do, and do some of it; False once there is nothing more to come."""
        with self._some:
            while not (self._scored or self._written or self._scribe.jobs or self._closing):
                self._some.wait()
            if self._closing and not (self._scored or self._written or self._scribe.jobs):
                return False
            self._gather()
            batch, new = self._taken()
        self._scribe.drop_cancelled()
        self._timed("join", new, partial(self._scribe.join, new))
        self._timed("step", self._scribe.jobs, self._scribe.step)
        for wants, answer in (("answer", self.engine.answer), ("embedding", self.engine.embed)):
            same = [job for job in batch if job.wants == wants]
            self._timed(wants, same, partial(_settle, same, answer))
        return True

    def _answered(self, done: object) -> None:
        self._unanswered.pop(done, None)

    def _give_up(self, error: Exception) -> None:
        """Tell all who wait of a fault, and begin anew: nobody knows what the queues and the caches hold."""
        with self._some:
            waiting = [*self._unanswered.values()]
            self._scored, self._written = FairQueue(pads=self.engine.pads), FairQueue()
        self._scribe.drop_all()
        for job in waiting:
            fail(job, error)

    def _gather(self) -> None:
        """Wait for more to come, where nothing else is to be done; `_some` is held."""
        while not (self._scribe.jobs or self._closing):
            arrived = [one for one in (self._scored.oldest, self._written.oldest) if one is not None]
            left = min(arrived) + self.options.wait - time.monotonic() if arrived else 0.0
            if left <= 0 or self._scored.cost >= self.options.batch_tokens:
                return
            self._some.wait(left)

    def _taken(self) -> tuple[list[Scored], list[Written]]:
        """Questions for the next batch, and texts that may join; `_some` is held."""
        options, going = self.options, self._scribe.jobs
        now, budget = time.monotonic(), options.batch_tokens
        late = now - _LATE * options.wait
        if self._until is not None:
            late = now  # whoever came first is done first
            if self._speed:
                budget = min(budget, int(_SHARE * self._speed * (self._until - now)))
        batch = self._scored.take(budget, late)
        self.taken += len(batch)
        room = options.writing_tokens - sum(job.cost for job in going)
        rows = options.writing_rows - len(going)
        new = self._written.take(min(room, budget), late, rows, some=not going) if rows > 0 else []
        return batch, new

    def _timed(self, kind: str, jobs: Sequence[Scored | Written], work: Callable[[], None]) -> None:
        """Make a pass, and let whoever watches know."""
        if not jobs:
            return
        jobs, began = [*jobs], time.monotonic()
        try:
            work()
        except Exception as error:  # the thread must live on, whatever a model or a readout raises
            _LOG.exception("a pass (%s) of %d rows failed", kind, len(jobs))
            for job in jobs:
                fail(job, error)
        seconds = time.monotonic() - began
        if kind != "step" and seconds > 0:
            self._speed = sum(job.cost for job in jobs) / seconds
        if self._watcher is None:
            return
        try:
            self._watcher.passed(kind, jobs, seconds, [began - job.arrived for job in jobs])
        except Exception:  # who counts passes costs nobody an answer
            _LOG.exception("a pass (%s) of %d rows was not counted", kind, len(jobs))


def _settle(jobs: Sequence[Scored], answer: Callable[[list[Question]], Sequence[Given | SoftPromptError]]) -> None:
    """Answer questions, and tell whoever waits for each."""
    for job, found in zip(jobs, answer([job.question for job in jobs]), strict=True):
        if isinstance(found, SoftPromptError):
            fail(job, found)
        else:
            fulfil(job, found)
