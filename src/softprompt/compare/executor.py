"""What works jobs off, wherever they run: jobs go in, events come out.

The queue (`softprompt.compare.queue`) knows nothing else of an executor, so that a cluster is one more file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, JsonValue

from softprompt.errors import Interrupted

Kind = Literal["begun", "step", "told", "done", "failed", "lost", "paused", "stopped", "idle"]
ENDS: tuple[Kind, ...] = ("done", "failed", "paused", "stopped")


class Paused(Interrupted):
    """A job has come as far as it was to come; its state is written."""


class Job(Protocol):
    """Something to be done; its name is its own."""

    @property
    def name(self) -> str:
        """The name."""
        ...


JobT_contra = TypeVar("JobT_contra", bound=Job, contravariant=True)


class Event(BaseModel):
    """What happened to a job, as one line of JSON where it comes from another process.

    Attributes:
        kind: `begun`; `step` of its work; `told`, a warning; `done`, `failed`, `paused` and `stopped` are its ends: one
            that is paused has come as far as it was to come, one that is stopped goes on another time; `lost` is a job
            whose worker died and that is done again; `idle` is of no job: nothing has happened for a while.
        job: its name.
        line: what is told of it: a fault, where it stopped, or why it was lost.
        work: what a step is of.
        done: units of the work that are done.
        total: its units.
        unit: what it is counted in.
        note: a word beside it.
        found: what a job that is done gives.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Kind
    job: str = ""
    line: str = ""
    work: str = ""
    done: int = 0
    total: int = 0
    unit: str = ""
    note: str = ""
    found: dict[str, JsonValue] = {}


class Executor(Protocol[JobT_contra]):
    """Works jobs off, in an order of its own, several at a time if it can."""

    def submit(self, job: JobT_contra) -> None:
        """Take a job. It is begun by `events`, no sooner."""
        ...

    def events(self) -> Iterator[Event]:
        """What happens, until every job that was submitted has ended; `idle` at least every second."""
        ...

    def stop(self) -> None:
        """Begin nothing more: what waits is dropped, what runs writes its state and ends; asked again, ends at once."""
        ...
