"""Where the cells of a table are worked off: on this machine, or in a cluster."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from softprompt.errors import SoftPromptError, quoted

if TYPE_CHECKING:
    from softprompt.compare.local import LocalExecutor
    from softprompt.compare.on_ray import RayExecutor

_USUAL = 2  # workers
_RAY = "ray"


class Place(NamedTuple):
    """Where cells are worked off.

    Attributes:
        workers: at a time; None for the usual number.
        out: the table's folder.
        on: the cluster, as `--on` has it; None for this machine.
        store: the address where run folders of a cluster go; None for the table's folder.
        gpus: of a worker in a cluster; None for the usual number.
    """

    workers: int | None
    out: Path
    on: str | None = None
    store: str | None = None
    gpus: float | None = None

    def executor(self, cells: int, *, silent: bool) -> LocalExecutor | RayExecutor:
        """What works so many cells off.

        Raises:
            SoftPromptError: there is no such store.
        """
        if self.on is None:
            from softprompt.compare.local import LocalExecutor

            return LocalExecutor(*workers_here(self.workers, cells))
        import torch

        from softprompt.compare.on_ray import RayExecutor, Wanted
        from softprompt.compare.store import Store
        from softprompt.progress import Progress

        address = address_of(self.on)
        wanted = Wanted(self.workers, torch.get_num_threads(), self.gpus, cells)
        store = None if self.store is None else Store(self.store)
        return RayExecutor(address, wanted, self.out.absolute(), store, Progress(not silent).say)


def place_of(workers: int | None, on: str | None, store: str | None, gpus: float | None, out: Path) -> Place:
    """Where the user wants the cells.

    Raises:
        SoftPromptError: what is of a cluster was asked of none, or of no such one.
    """
    if on is None and (store, gpus) != (None, None):
        raise SoftPromptError(f"--{'gpus' if store is None else 'store'} is of a cluster: give --on ray with it")
    if on is not None:
        address_of(on)
    return Place(workers, out, on, store, gpus)


def address_of(on: str) -> str | None:
    """The address of the cluster that `--on` means; None for one on this machine.

    Raises:
        SoftPromptError: it means none.
    """
    if on != _RAY and not on.startswith("ray://"):
        raise SoftPromptError(f"--on {quoted(on)}: give ray, or the address of a cluster as ray://HOST:10001")
    return (os.environ.get("RAY_ADDRESS") or None) if on == _RAY else on


def workers_here(workers: int | None, cells: int) -> tuple[int, int]:
    """How many workers there are on this machine, and the threads of each."""
    import torch

    from softprompt.cores import usable_cores

    cores = usable_cores()
    usual = 1 if torch.cuda.is_available() else min(_USUAL, cores)
    count = min(workers or usual, cells)
    return count, max(1, min(torch.get_num_threads(), cores // count))
