"""What routes share: the engine, its batcher, and the way from a request to answers and back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Literal, TypeVar

from fastapi import Request

from softprompt.attached.answering import Text
from softprompt.backbones.freed import give_back
from softprompt.errors import SoftPromptError
from softprompt.inference.predict import Answer
from softprompt.serving import heap
from softprompt.serving.accepted import Accepted
from softprompt.serving.batcher import LATE, Batcher, Closing
from softprompt.serving.begin_writing import Context
from softprompt.serving.engine import Engine, Question
from softprompt.serving.faults import Refused
from softprompt.serving.jobs import Scored, Written, scored, written
from softprompt.serving.options import ServingOptions
from softprompt.serving.telemetry import Telemetry
from softprompt.serving.writing import Wishes, Writing

_LOG = logging.getLogger(__name__)
T = TypeVar("T")


class Gone(Exception):
    """Whoever asked has gone away."""


class Service:
    """An engine that is served.

    Args:
        engine: the prompts over their model.
        options: limits and times.

    Attributes:
        telemetry: what is counted.
        accepted: the requests that have no answer yet.
        ready: whether the folder has been looked at.
    """

    def __init__(self, engine: Engine, options: ServingOptions) -> None:
        """Nothing runs yet; see `running`."""
        self.engine, self.options, self.telemetry = engine, options, Telemetry()
        self.accepted = Accepted()
        self.batcher: Batcher | None = None
        self._cutting: asyncio.TimerHandle | None = None
        self._encoding = ThreadPoolExecutor(1, "softprompt-encoding")  # tokenizers serve one thread at a time

    @property
    def ready(self) -> bool:
        """Whether requests are taken on."""
        return self.batcher is not None and self.batcher.is_alive and self._cutting is None

    def counted(self) -> str:
        """All counts, as Prometheus reads them."""
        shelf, told = self.engine.shelf, self.telemetry
        told.prompts.labels("served").set(len(shelf.names))
        told.prompts.labels("in_memory").set(shelf.in_memory)
        told.prompts.labels("refused").set(len(shelf.faults))
        told.prompt_bytes.set(shelf.bytes)
        told.waiting.set(0 if self.batcher is None else self.batcher.waiting)
        told.writing.set(0 if self.batcher is None else self.batcher.writing)
        return told.text()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve during the block; what was accepted is worked off at its end."""
        await self.encode(self.engine.look)
        self.batcher = Batcher(self.engine, self.options, self.telemetry)
        looking = asyncio.create_task(self._look_again())
        try:
            yield
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking
            if self._cutting is not None:
                self._cutting.cancel()
            await asyncio.to_thread(self.batcher.close)
            self._encoding.shutdown()
            self.engine.close()

    def drain(self) -> None:
        """The server stops: what it has accepted has `drain` seconds, and is answered 503 then."""
        if self.batcher is not None and self._cutting is None:
            self.batcher.drain()
            self._cutting = asyncio.get_running_loop().call_later(self.options.drain, self._cut)

    def _cut(self) -> None:
        assert self.batcher is not None
        requests, rows = self.accepted.cut(), self.batcher.cut()
        if requests or rows:
            told = "%d requests and %d rows were not done within %g s of the end: they are answered 503"
            _LOG.warning(told, requests, rows, self.options.drain)

    async def encode(self, work: Callable[[], T]) -> T:
        """Do work on texts and folders, beside the requests that wait."""
        return await asyncio.get_running_loop().run_in_executor(self._encoding, work)

    async def answers(
        self, request: Request, asked: Sequence[tuple[str, Sequence[Text]]], wants: Literal["answer", "embedding"]
    ) -> tuple[list[Answer | list[float]], int]:
        """The answers to some texts for some prompts, in order, and how many tokens the texts have.

        Raises:
            SoftPromptError: the first fault among them, or there is no room in the queue.
            Gone: nobody waits for them.
        """
        questions = await self.encode(lambda: self._questions(asked))
        jobs = [scored(one, wants, time.monotonic()) for one in questions]
        found = await self._done(request, jobs)
        return found, sum(one.tokens for one in questions)

    def begin(self, writings: Sequence[Writing], news: Callable[[int, str], None] | None = None) -> list[Written]:
        """Let the texts of one request wait, all or none; their prompts are given back once they are done.

        Args:
            writings: the texts.
            news: is told, in the model's thread, which of them has what to be shown.

        Raises:
            SoftPromptError: there is no room in the queue.
        """
        now = time.monotonic()
        tells = [None if news is None else partial(news, index) for index in range(len(writings))]
        jobs = [written(one, now, tell) for one, tell in zip(writings, tells, strict=True)]
        self._submit(jobs)
        return jobs

    async def writing(self, name: str, text: Context, wishes: Wishes, most: int | None) -> Writing:
        """A text that a prompt is to write; see `Engine.begin`."""
        return await self.encode(lambda: self.engine.begin(name, text, wishes, most))

    async def finished(self, request: Request, jobs: Sequence[Written]) -> list[Writing]:
        """Texts, once they have ended.

        Raises:
            SoftPromptError: the first fault among them.
            Gone: nobody waits for them.
        """
        return await self._wait(request, jobs, [job.done for job in jobs])

    def cancel(self, jobs: Sequence[Scored | Written]) -> None:
        """Drop what nobody waits for any more."""
        if self.batcher is not None:
            self.batcher.cancel(jobs)

    def _questions(self, asked: Sequence[tuple[str, Sequence[Text]]]) -> list[Question]:
        found: list[Question] = []
        try:
            for name, texts in asked:
                found += self.engine.ask(name, texts)
            longest = max(one.cost for one in found)
            if longest > self.options.batch_tokens:
                raise Refused(413, f"a text takes {longest} columns, at most {self.options.batch_tokens} are served")
        except BaseException:
            self.engine.forget(found)
            raise
        return found

    async def _done(self, request: Request, jobs: Sequence[Scored]) -> list[Answer | list[float]]:
        self._submit(jobs)
        return await self._wait(request, jobs, [job.done for job in jobs])

    def _submit(self, jobs: Sequence[Scored | Written]) -> None:
        for job in jobs:
            job.done.add_done_callback(partial(self._forget, job.question if isinstance(job, Scored) else job.writing))
        try:
            if self.batcher is None:
                raise Refused(503, "the server is not ready")
            self.batcher.submit(jobs)
        except SoftPromptError:
            for job in jobs:
                job.done.cancel()
            raise

    def _forget(self, own: Question | Writing, _: object) -> None:
        self.engine.forget([own])

    async def _wait(self, request: Request, jobs: Sequence[Scored | Written], waits: Sequence[Future[T]]) -> list[T]:
        gone = asyncio.create_task(_gone(request))
        done = asyncio.gather(*map(asyncio.wrap_future, waits))
        done.add_done_callback(_looked_at)
        try:
            await asyncio.wait((gone, done), return_when=asyncio.FIRST_COMPLETED)
            if not done.done():
                raise Gone
            try:
                return done.result()
            except asyncio.CancelledError:
                raise Closing(LATE) from None
        finally:
            gone.cancel()
            done.cancel()
            self.cancel([job for job in jobs if not job.done.done()])

    async def _look_again(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(self.options.every)
            if time.monotonic() - last > heap.EVERY:
                await asyncio.to_thread(give_back)
                last = time.monotonic()
            try:
                await asyncio.to_thread(self.engine.look)  # it may wait for a pass, which texts need not do
            except Exception as error:  # whatever a folder that changes meanwhile raises: the next look may do
                _LOG.warning("the folder of prompts cannot be looked at: %s", error)


async def _gone(request: Request) -> None:
    """Wait until whoever asked goes away: the body was read whole, so nothing else comes."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _looked_at(done: asyncio.Future[list[T]]) -> None:
    """What becomes of rows that nobody waits for any more is nothing that a log must tell."""
    if not done.cancelled():
        done.exception()
