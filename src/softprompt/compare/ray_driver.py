"""The process that speaks with Ray: it hands cells over, and tells what becomes of them (`softprompt.compare.on_ray`).

It is one of its own because Ray ends the process of a driver whose cluster is gone, writes to its standard output, and
takes its signals. All that is asked of Ray: to place a task where its threads and GPUs are free, to keep a worker's
process for the next, to begin a task again whose worker died, and to cancel one.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import TextIO

from pydantic import BaseModel

from softprompt.compare.child import answers
from softprompt.compare.executor import Event
from softprompt.compare.on_node import Order, do
from softprompt.compare.ray_lines import Asked, Joined, Node, Setup
from softprompt.errors import shortened
from softprompt.training.measure import versions

_TRIES = 4  # of a cell whose workers die
_IDLE = 0.2  # seconds without news


class _Driver:
    """Has cells done by a cluster that was joined."""

    def __init__(self, lines: Iterable[str], answers: TextIO) -> None:
        self._lines, self._answers = lines, answers
        self._asked: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        import ray
        from ray.util.queue import Queue
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._ray, self._task = ray, ray.remote(do)
        # Of no job's resources, and on the driver's own node (the head, where a client drives): it is lost with no
        # other, and begun again where it alone is killed, when some news are lost and no cell is.
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._news = Queue(actor_options={"num_cpus": 0, "max_restarts": -1, "scheduling_strategy": here})
        self._running: dict[object, str] = {}
        self._begun: Counter[str] = Counter()
        self._stops = 0

    def work(self) -> None:
        """Work until the parent has nothing more, or is gone; what runs then is stopped."""
        threading.Thread(target=self._listen, daemon=True).start()
        wanted = True
        while wanted or self._running:
            wanted = self._take() and wanted
            ended = self._ended()
            self._relay()
            for task in ended:
                self._send(self._end(task))

    def _listen(self) -> None:
        for line in self._lines:
            self._asked.put(line)
        self._asked.put(None)

    def _take(self) -> bool:
        """Do what was asked since; whether more may come."""
        with suppress(queue.Empty):
            line = self._asked.get(timeout=None if not self._running else 0.0)
            while True:
                if line is None:
                    self._stop()
                    return False
                asked = Asked.model_validate_json(line)
                self._stop() if asked.order is None else self._give(asked.order, asked.gpus)
                line = self._asked.get(timeout=0.0)
        return True

    def _give(self, order: Order, gpus: float) -> None:
        self._begun.pop(order.cell.name, None)  # a cell that paused begins again, and lost no worker
        own = {"num_cpus": order.threads, "num_gpus": gpus, "max_retries": _TRIES - 1, "name": order.cell.name}
        task = self._task.options(**own).remote(order.model_dump_json(), versions()["softprompt"], self._news)
        self._running[task] = order.cell.name

    def _stop(self) -> None:
        """As Ctrl-C in the workers: they write their states; asked again, they end."""
        self._stops += 1
        for task in self._running:
            self._ray.cancel(task, force=self._stops > 1)

    def _ended(self) -> list[object]:
        if not self._running:
            return []
        ended: list[object] = self._ray.wait(list(self._running), timeout=_IDLE)[0]
        return ended

    def _relay(self) -> None:
        """Tell the workers' news; a cell that begins again has lost a worker."""
        lines: list[str] = []
        with suppress(Exception):  # the actor that keeps them is being begun again
            lines = self._news.get_nowait_batch(self._news.qsize())
        for line in lines:
            event = Event.model_validate_json(line)
            if event.kind == "begun":
                self._begins(event)
            self._send(event)

    def _begins(self, event: Event) -> None:
        self._begun[event.job] += 1
        if self._begun[event.job] == 1:
            return
        self._send(Event(kind="lost", job=event.job, line=f"its worker ended; it goes on on {event.note}"))
        if self._begun[event.job] > _TRIES:  # Ray itself never gives up where it was memory that lacked
            for task in [task for task, name in self._running.items() if name == event.job]:
                self._ray.cancel(task, force=True)

    def _end(self, task: object) -> Event:
        """How a task ended.

        Raises:
            SystemExit: the cluster has, as far as this process is in it; no cell has failed by that.
        """
        name = self._running.pop(task)
        try:
            return Event.model_validate_json(self._ray.get(task)).model_copy(update={"job": name})
        except self._ray.exceptions.LocalRayletDiedError:
            raise SystemExit("the Ray of this node has ended") from None
        except self._ray.exceptions.RayError as error:
            if self._stops:
                return Event(kind="stopped", job=name, line="stopped before its next state was written")
            return Event(kind="failed", job=name, line=self._why(name, error))

    def _why(self, name: str, error: Exception) -> str:
        if isinstance(error, self._ray.exceptions.RayTaskError):  # nothing of ours ran: a node that lacks the library
            last = str(error).strip().splitlines()[-1]
            return f"a node cannot begin it ({shortened(last, 300)}): install softprompt on every node as it is here"
        if isinstance(error, self._ray.exceptions.OutOfMemoryError):
            return "its node has not enough memory: take fewer workers, a smaller batch_size or a smaller backbone"
        return f"its worker ended {self._begun[name]} times ({type(error).__name__}): try it by itself"

    def _send(self, event: Event) -> None:
        _say(event, self._answers)


def _say(line: BaseModel, answers: TextIO) -> None:
    with suppress(BrokenPipeError):  # the parent is gone; what was done stands in its folder
        answers.write(line.model_dump_json(exclude_defaults=True) + "\n")
        answers.flush()


def join(setup: Setup) -> Joined:
    """Join a cluster, or start one.

    Returns:
        Its nodes, or why there is none.
    """
    import ray

    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if setup.address is None:
            ray.init("local", num_cpus=setup.cpus, include_dashboard=False, **quiet)
        else:
            ray.init(setup.address, **quiet)
        found = [one["Resources"] for one in ray.nodes() if one["Alive"]]
    except Exception as error:  # each layer of Ray raises its own
        return Joined(fault=shortened(" ".join(str(error).split()), 200) or type(error).__name__)
    return Joined(nodes=tuple(Node(cpus=one.get("CPU", 0), gpus=one.get("GPU", 0)) for one in found))


def leave() -> None:
    """Leave the cluster, or end the one that was started."""
    import ray

    ray.shutdown()


def main() -> None:
    """Work for the parent at standard input."""
    own = answers()
    joined = join(Setup.model_validate_json(sys.stdin.readline()))
    _say(joined, own)
    if not joined.fault:
        _Driver(sys.stdin, own).work()
        leave()


if __name__ == "__main__":
    main()
