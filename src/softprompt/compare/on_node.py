"""What a worker process of a cluster does with a cell; Ray keeps the process, and with it the backbone, for the next.

With a store the cell is done in a scratch folder of the node, which begins with what the store has of it. Without one
it is done in the table's own folder, on a disk that all nodes share.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Protocol

import torch
from pydantic import BaseModel, ConfigDict

from softprompt.compare.cells import Cell
from softprompt.compare.doing import CellWork, Request, Send
from softprompt.compare.executor import Event
from softprompt.compare.store import Keeping, Store
from softprompt.errors import SoftPromptError
from softprompt.files.scratch import scratch, sweep
from softprompt.files.whole import make_folder, unwritable
from softprompt.training.measure import versions
from softprompt.training.process import stop_signal


class News(Protocol):
    """Where a worker's news go."""

    def put(self, item: str) -> None:
        """Take a line."""
        ...


class Order(BaseModel):
    """A cell that a node is to do.

    Attributes:
        cell: with its folder as the table has it.
        threads: to do it with.
        table: the table's folder.
        here: the folder from which relative paths are, where a node has it.
        store: the address of the store; None without one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    cell: Cell
    threads: int
    table: str
    here: str
    store: str | None = None


def do(order: str, version: str, news: News) -> str:
    """Do a cell.

    Args:
        order: an `Order`, as JSON.
        version: of this library, by which the order was made.
        news: for its begin and its steps.

    Returns:
        How it ended, an `Event` as JSON; a fault names the node.
    """
    job = ""

    def send(event: Event) -> None:
        with suppress(Exception):  # whatever became of the news, the cell goes on
            news.put(event.model_dump_json(exclude_defaults=True))

    try:
        _check_version(version)
        asked = Order.model_validate_json(order)
        job = asked.cell.name
        send(Event(kind="begun", job=job, note=socket.gethostname()))
        torch.set_num_threads(asked.threads)
        with suppress(OSError):
            os.chdir(asked.here)
        end = _shared(asked, send) if asked.store is None else _apart(asked, Store(asked.store), send)
    except SoftPromptError as error:
        end = Event(kind="failed", job=job, line=str(error))
    if end.kind == "failed":
        end = end.model_copy(update={"line": f"{end.line} (on {socket.gethostname()})"})
    return end.model_dump_json(exclude_defaults=True)


def _check_version(version: str) -> None:
    own = versions()["softprompt"]
    if own != version:
        raise SoftPromptError(f"softprompt {own} is not {version}, which makes the table: install the same everywhere")


def _shared(order: Order, send: Send) -> Event:
    """In the table's folder."""
    if not Path(order.table).is_dir():
        raise SoftPromptError(f"{order.table}: is not on this node: give a --store that all nodes reach")
    return _cells().end(Request(kind="train", cell=order.cell), send)


def _apart(order: Order, store: Store, send: Send) -> Event:
    """In a scratch folder, whose copies go to the store."""
    name, parent = order.cell.name, Path(tempfile.gettempdir()) / "softprompt-cells"
    try:
        make_folder(parent)
        sweep(parent)
        with scratch(parent) as beside:
            folder = beside / name
            store.fetch(name, folder)
            keeping = Keeping(store, name, folder)
            request = Request(kind="train", cell=order.cell.model_copy(update={"folder": str(folder)}))
            end = _cells().end(request, _both(send, keeping.look))
            with stop_signal():  # nobody breaks the last copy off
                keeping.end("done" if end.kind == "done" else "left")
            return end.model_copy(update={"line": end.line.replace(str(folder), order.cell.folder)})
    except OSError as error:
        raise unwritable(parent, error) from None


def _both(send: Send, look: Callable[[], None]) -> Send:
    def sent(event: Event) -> None:
        send(event)
        if event.kind == "step":
            look()

    return sent


@cache
def _cells() -> CellWork:
    """What this process has loaded."""
    return CellWork()
