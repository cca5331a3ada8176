"""The executor of a cluster: Ray places the cells, keeps the workers, and begins again what was in one that died.

We write no scheduler. What is ours: how many cells are in flight, which backbone's come first, and the way of a run
folder to the nodes and back (`softprompt.compare.store`).
"""

from __future__ import annotations

import os
import queue
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, Self

from pydantic import ValidationError

from softprompt.compare.cells import Cell
from softprompt.compare.child import Child
from softprompt.compare.executor import ENDS, Event
from softprompt.compare.on_node import Order
from softprompt.compare.ray_lines import Asked, Joined, Node, Setup
from softprompt.compare.store import Store
from softprompt.cores import usable_cores
from softprompt.errors import SoftPromptError, shortened
from softprompt.files.places import RUN
from softprompt.files.whole import placing

_IDLE = 0.2  # seconds without news
_WORDS = 120  # characters of Ray's own about an end
_LOGGED = re.compile(r"\[[^\]]*\] [\w.]+:\d+: ")  # when and where Ray logged it
_USUAL = 2  # workers of a node without a GPU
# Ray's own, where the user says nothing else: no report to its authors, and what it will do from now on.
_RAY = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


class Wanted(NamedTuple):
    """What a user wants of a cluster.

    Attributes:
        workers: at a time; None for two a node, or as many as its GPUs serve.
        threads: of each, at the most.
        gpus: of each, or a part of one; None for one where the cluster has any.
        cells: that are to be done: no more workers than these.
    """

    workers: int | None
    threads: int
    gpus: float | None
    cells: int


class Share(NamedTuple):
    """How many workers there are at a time, and the threads and GPUs of each."""

    workers: int
    threads: int
    gpus: float


def share(nodes: Sequence[Node], wanted: Wanted) -> Share:
    """What each worker of a cluster gets: on a single machine as much as one of the local executor's.

    Args:
        nodes: of the cluster.
        wanted: by the user.
    """
    gpus = (1.0 if any(node.gpus for node in nodes) else 0.0) if wanted.gpus is None else wanted.gpus
    usual = [int(node.gpus / gpus) if gpus else min(_USUAL, int(node.cpus)) for node in nodes]
    count = max(1, min(wanted.workers or sum(usual), wanted.cells))
    cores = [int(node.cpus) for node, fits in zip(nodes, usual, strict=True) if fits] or [1]
    return Share(count, max(1, min(wanted.threads, sum(cores) // count, *cores)), gpus)


class RayExecutor:
    """Works cells off in a cluster; see `softprompt.compare.executor.Executor`.

    Args:
        address: `ray://HOST:PORT` or `HOST:PORT` of a cluster; None starts one on this machine.
        wanted: of it.
        table: the table's folder.
        store: where the run folders go; None where all nodes share the table's disk.
        say: told of the cluster.

    Attributes:
        workers: at a time, once it is entered.
    """

    def __init__(
        self,
        address: str | None,
        wanted: Wanted,
        table: Path,
        store: Store | None,
        say: Callable[[str], None],
    ) -> None:
        """See the class."""
        self._address, self._wanted, self._table, self._store, self._say = address, wanted, table, store, say
        self._news: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._waiting: list[Cell] = []
        self._running: dict[str, Cell] = {}
        self._stops = 0
        self.workers = 0

    def __enter__(self) -> Self:
        """Join the cluster.

        Raises:
            SoftPromptError: Ray is not installed, there is no cluster, or the store cannot be written.
        """
        if find_spec("ray") is None:
            raise SoftPromptError("Ray is not installed: pip install 'softprompt[cluster]', or leave --on out")
        if self._store is not None:
            self._store.check()
        here = Node(cpus=usable_cores(), gpus=_gpus())
        own = share([here], self._wanted)
        variables = {name: os.environ.get(name, value) for name, value in _RAY.items()}
        if self._address is None:
            variables["OMP_NUM_THREADS"] = str(own.threads)
        self._child = Child("softprompt.compare.ray_driver", variables, self._news.put)
        try:
            self._join(own)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *raised: object) -> None:
        """Leave the cluster, or end the one that was started; what is in hand is stopped."""
        self._child.left()

    def _join(self, own: Share) -> None:
        cpus = max(usable_cores(), own.workers * own.threads)
        self._child.say(Setup(address=self._address, cpus=cpus).model_dump_json())
        line = self._news.get()
        joined = Joined(fault=self._child.left()) if line is None else Joined.model_validate_json(line)
        where = self._address or "a cluster on this machine"
        if joined.fault:
            mend = "check the address, and that ray start --head runs there" if self._address else "see docs/cluster.md"
            raise SoftPromptError(f"--on ray: {where} cannot be joined ({joined.fault}): {mend}")
        self._share = own if self._address is None else share(joined.nodes, self._wanted)
        self.workers = self._share.workers
        workers, threads, gpus = self._share
        each = amount(threads, "thread") + (f" and {amount(gpus, 'GPU')}" if gpus else "")
        at_a_time = f"{amount(workers, 'worker')} at a time"
        self._say(f"{where}: {amount(len(joined.nodes), 'node')}; {at_a_time}, each with {each}")

    def submit(self, job: Cell) -> None:
        """Take a cell."""
        self._waiting.append(job)

    def events(self) -> Iterator[Event]:
        """What happens, until every cell has ended."""
        order = {cell.loading: place for place, cell in reversed(list(enumerate(self._waiting)))}
        self._waiting.sort(key=lambda cell: order[cell.loading])  # a worker loads a backbone once
        while self._waiting or self._running:
            yield from self._hand_out()
            try:
                line = self._news.get(timeout=_IDLE)
            except queue.Empty:
                yield Event(kind="idle")
                continue
            yield from self._gone() if line is None else self._heard(line)

    def stop(self) -> None:
        """Drop what waits, and ask what is in hand to stop; asked again, it is ended."""
        self._stops += 1
        self._waiting.clear()
        self._child.say(Asked().model_dump_json())

    def _hand_out(self) -> Iterator[Event]:
        """Hand over as many cells as there are workers; what a table made without the store goes there first."""
        while self._waiting and len(self._running) < self.workers:
            cell = self._waiting.pop(0)
            try:
                self._offer(cell)
            except SoftPromptError as error:
                yield Event(kind="failed", job=cell.name, line=str(error))
                continue
            address = None if self._store is None else self._store.address
            own = {"threads": self._share.threads, "table": str(self._table), "here": os.getcwd(), "store": address}
            order = Order.model_validate({"cell": cell, **own})
            self._running[cell.name] = cell
            self._child.say(Asked(order=order, gpus=self._share.gpus).model_dump_json())

    def _offer(self, cell: Cell) -> None:
        folder = Path(cell.folder)
        if self._store is not None and (folder / RUN).is_file() and not self._store.holds(cell.name):
            self._store.put(cell.name, folder, "left")

    def _heard(self, line: str) -> Iterator[Event]:
        try:
            event = Event.model_validate_json(line)
        except ValidationError:  # cut off by a kill: the end of the process tells
            return
        if event.kind in ENDS and event.job in self._running:
            event = self._brought(self._running.pop(event.job), event)
        yield event

    def _brought(self, cell: Cell, end: Event) -> Event:
        """An end, with the cell's folder brought from the store."""
        if self._store is None:
            return end
        try:
            bring(self._store, cell, end.kind == "done")
        except SoftPromptError as error:
            own = end.kind in ("done", "paused")
            return Event(kind="failed", job=cell.name, line=str(error)) if own else end
        return end

    def _gone(self) -> Iterator[Event]:
        """The driver has left, and the cluster with it: what was in hand goes on another time."""
        why = self._child.left()
        self._waiting.clear()
        running, self._running = self._running, {}
        if not self._stops:
            told = shortened(_LOGGED.sub("", why), _WORDS)
            self._say(f"the cluster is gone ({told}): start the same again once it is back")
        for name in running:
            yield Event(kind="stopped", job=name, line="stopped before its next state was written")


class _Nothing(Exception):
    """There is nothing to bring."""


def bring(store: Store, cell: Cell, finished: bool) -> None:
    """Put the last copy of a cell where the table has it.

    Args:
        store: with the copy.
        cell: whose folder is replaced as a whole.
        finished: nothing else than a finished one will do.

    Raises:
        SoftPromptError: the store cannot be read, holds no finished one, or there is no place for it.
    """
    with suppress(_Nothing), placing(Path(cell.folder)) as beside:
        state = store.fetch(cell.name, beside)
        if finished and state != "done":
            raise SoftPromptError(
                f"store {store.shown}: no whole copy of {cell.name} came there: --retry does it again"
            )
        if state is None:
            raise _Nothing


def amount(number: float, what: str) -> str:
    """A number of things: `1 node`, `2 nodes`, `0.5 GPU`."""
    return f"{number:g} {what}{'s' if number > 1 else ''}"


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()
