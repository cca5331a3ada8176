"""What stands in for Ray where it is not installed: a module `ray` that does tasks one after the other.

It knows as much of Ray as `softprompt.compare.ray_driver` asks of it, and what the variable STAND_IN says shall happen
by the names of the tasks: a JSON object of `deaths` (how often its worker dies), `gone` (the cluster ends with it),
`apart` (the node's Ray does, and the driver is told) and `never` (nothing of it can be begun).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

SCRIPT = json.loads(os.environ.get("STAND_IN", "{}"))


class RayError(Exception):
    """A fault of Ray's."""


class RayTaskError(RayError):
    """A task raised."""


class OutOfMemoryError(RayError):
    """A worker took too much."""


class LocalRayletDiedError(RayError):
    """The node's own process of Ray died."""


class WorkerCrashedError(RayError):
    """A worker died."""


class TaskCancelledError(RayError):
    """A task was cancelled before it was begun."""


class Queue:
    """A queue of the cluster's."""

    def __init__(self, maxsize: int = 0, *, actor_options: dict[str, Any] | None = None) -> None:
        self._items: list[str] = []
        where = (actor_options or {})["scheduling_strategy"]
        note("queue", {"node": where.node, "soft": where.soft})

    def put(self, item: str) -> None:
        self._items.append(item)

    def qsize(self) -> int:
        return len(self._items)

    def get_nowait_batch(self, count: int) -> list[str]:
        found, self._items = self._items[:count], self._items[count:]
        return found


class NodeAffinitySchedulingStrategy:
    """Where an actor is to be."""

    def __init__(self, node_id: str, soft: bool) -> None:
        self.node, self.soft = node_id, soft


def note(name: str, told: dict[str, Any]) -> None:
    """Write beside this module what was asked of it."""
    folder = Path(sys.modules[__name__].__file__ or "").parent
    (folder / f"{name}.json").write_text(json.dumps(told))


def get_runtime_context() -> SimpleNamespace:
    return SimpleNamespace(get_node_id=lambda: "the driver's node")


class Task:
    """A task that was handed over; it is done when it is waited for."""

    def __init__(self, do: Callable[[], Any], options: dict[str, Any], news: Any) -> None:
        self.do, self.options, self.news = do, options, news
        self.ended: Any = None
        self.cancelled = False

    def run(self) -> None:
        name, begun = self.options["name"], json.dumps({"kind": "begun", "job": self.options["name"], "note": "here"})
        if self.cancelled:
            self.ended = TaskCancelledError(name)
            return
        if name in SCRIPT.get("gone", ()):
            os._exit(1)
        if name in SCRIPT.get("apart", ()):
            self.ended = LocalRayletDiedError(name)
            return
        if name in SCRIPT.get("never", ()):
            self.ended = RayTaskError("ray::do()\nModuleNotFoundError: No module named 'softprompt'")
            return
        for died in range(SCRIPT.get("deaths", {}).get(name, 0)):
            self.news.put(begun)
            if died == self.options["max_retries"]:
                self.ended = WorkerCrashedError(name)
                return
        self.ended = self.do()


class Remote:
    """A function that is done elsewhere."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        self._function, self._options = function, options

    def options(self, **options: Any) -> Remote:
        return Remote(self._function, options)

    def remote(self, *given: Any) -> Task:
        return Task(lambda: self._function(*given), self._options, given[-1])


def init(address: str, **options: Any) -> None:
    if address.startswith("ray://nowhere"):
        raise ConnectionError("nobody\nanswers")
    print("Ray prints", address)
    note("init", {"address": address, **options, "threads": os.environ.get("OMP_NUM_THREADS")})


def nodes() -> list[dict[str, Any]]:
    return [
        {"Alive": True, "Resources": {"CPU": 4.0, "GPU": 2.0}},
        {"Alive": True, "Resources": {"CPU": 8.0}},
        {"Alive": False, "Resources": {}},
    ]


def remote(function: Callable[..., Any]) -> Remote:
    return Remote(function, {})


def wait(tasks: list[Task], timeout: float) -> tuple[list[Task], list[Task]]:
    tasks[0].run()
    return tasks[:1], tasks[1:]


def get(task: Task) -> Any:
    if isinstance(task.ended, Exception):
        raise task.ended
    return task.ended


def cancel(task: Task, force: bool = False) -> None:
    task.cancelled = True


def shutdown() -> None:
    pass


exceptions = SimpleNamespace(
    RayError=RayError,
    RayTaskError=RayTaskError,
    OutOfMemoryError=OutOfMemoryError,
    LocalRayletDiedError=LocalRayletDiedError,
    WorkerCrashedError=WorkerCrashedError,
    TaskCancelledError=TaskCancelledError,
)


def stand_in(folder: Path) -> Path:
    """A folder from which `import ray` finds this file."""
    (folder / "ray" / "util").mkdir(parents=True)
    (folder / "ray" / "__init__.py").write_text(Path(__file__).read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "ray" / "util" / "__init__.py").write_text("", encoding="utf-8")
    (folder / "ray" / "util" / "queue.py").write_text("from ray import Queue\n", encoding="utf-8")
    strategies = "from ray import NodeAffinitySchedulingStrategy\n"
    (folder / "ray" / "util" / "scheduling_strategies.py").write_text(strategies, encoding="utf-8")
    return folder
