"""What waits for the model, and how whoever asked is told."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeAlias, TypeVar

from softprompt.inference.predict import Answer
from softprompt.serving.engine import Question
from softprompt.serving.writing import Writing

T = TypeVar("T")
News: TypeAlias = Callable[[str], None]  # is told, in the model's thread, what of a text may be shown


@dataclass(eq=False)
class Job(Generic[T]):
    """One row that waits.

    Attributes:
        task: its prompt's name.
        longest: columns of its longest sequence.
        cost: columns of all of them, padded to the longest.
        arrived: when it came, in seconds of the monotonic clock.
        done: its answer, once there is one; whoever does not want it any more cancels it.
    """

    task: str
    longest: int
    cost: int
    arrived: float
    done: Future[T] = field(default_factory=Future, init=False)


@dataclass(eq=False)
class Scored(Job[Answer | list[float]]):
    """A question.

    Attributes:
        question: itself.
        wants: an answer in the task's words, or an embedding.
    """

    question: Question
    wants: Literal["answer", "embedding"]


@dataclass(eq=False)
class Written(Job[Writing]):
    """A text.

    Attributes:
        writing: itself, which is the answer once it has ended.
        news: is told what may be shown.
    """

    writing: Writing
    news: News | None = None


def scored(question: Question, wants: Literal["answer", "embedding"], now: float) -> Scored:
    """A question that waits from now on."""
    return Scored(question.task, question.longest, question.cost, now, question, wants)


def written(writing: Writing, now: float, news: News | None = None) -> Written:
    """A text that waits from now on; it costs what it will take until it has ended."""
    return Written(writing.task, writing.cost, writing.cost, now, writing, news)


def fulfil(job: Job[T], answer: T) -> None:
    """Tell whoever waits for a job what came of it, if anybody does."""
    if job.done.set_running_or_notify_cancel():
        job.done.set_result(answer)


def fail(job: Scored | Written, error: Exception) -> None:
    """Tell whoever waits for a job that nothing came of it, if anybody does and it is not done."""
    if not job.done.done() and job.done.set_running_or_notify_cancel():
        job.done.set_exception(error)
