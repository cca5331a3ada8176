"""The queue: jobs in, their ends out, whatever the executor is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from softprompt.compare.executor import Event
from softprompt.compare.here import HereExecutor
from softprompt.compare.queue import work_off
from softprompt.errors import Interrupted, SoftPromptError


@dataclass(frozen=True)
class Named:
    name: str


JOBS = [Named(name) for name in "abcd"]


@dataclass
class Script:
    """An executor that says what it was told to."""

    lines: list[Event]
    taken: list[str] = field(default_factory=list)
    stops: int = 0

    def submit(self, job: Named) -> None:
        self.taken.append(job.name)

    def events(self) -> Iterator[Event]:
        yield from self.lines

    def stop(self) -> None:
        self.stops += 1


def test_the_last_end_of_each_job_counts_and_a_stop_is_handed_on() -> None:
    lines = [
        Event(kind="begun", job="a"),
        Event(kind="lost", job="a"),
        Event(kind="idle"),
        Event(kind="done", job="a"),
        Event(kind="stopped", job="b"),
    ]
    script, heard, asked = Script(lines), list[Event](), iter([False, True, True, False, False])
    ends = work_off(JOBS, script, heard.append, lambda: next(asked))
    assert (script.taken, script.stops, heard) == (list("abcd"), 2, lines)
    assert {name: event.kind for name, event in ends.items()} == {"a": "done", "b": "stopped"}


def test_in_this_process_a_fault_is_one_jobs_and_an_interruption_everybodys() -> None:
    done = []

    def do(job: Named) -> None:
        done.append(job.name)
        if job.name == "b":
            raise SoftPromptError("b cannot be")
        if job.name == "c":
            raise Interrupted("at step 3")

    executor = HereExecutor(do)
    heard: list[Event] = []
    ends = work_off(JOBS, executor, heard.append)
    assert done == list("abc")
    assert [(event.kind, event.job, event.line) for event in heard if event.kind != "begun"] == [
        ("done", "a", ""),
        ("failed", "b", "b cannot be"),
        ("stopped", "c", "at step 3"),
    ]
    assert list(ends) == list("abc")
    assert list(executor.faults) == ["b"]
