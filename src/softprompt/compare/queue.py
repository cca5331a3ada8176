"""The queue: jobs go to an executor, and how each of them ended comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from softprompt.compare.executor import ENDS, Event, Executor, Job

JobT = TypeVar("JobT", bound=Job)


def work_off(
    jobs: Iterable[JobT],
    executor: Executor[JobT],
    hear: Callable[[Event], None],
    stopping: Callable[[], bool] = lambda: False,
) -> dict[str, Event]:
    """Have jobs done; a job that fails leaves the others alone.

    Args:
        jobs: each with a name of its own.
        executor: that does them.
        hear: told of every event.
        stopping: whether it was asked to stop since it was last called.

    Returns:
        The last event of each job that ended; those that were never begun are missing.
    """
    for job in jobs:
        executor.submit(job)
    ended: dict[str, Event] = {}
    for event in executor.events():
        hear(event)
        if event.kind in ENDS:
            ended[event.job] = event
        if stopping():
            executor.stop()
    return ended
