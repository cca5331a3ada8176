"""The ranks of a training: processes that `torchrun` starts side by side, each with its part of every batch.

All of them run the same program; where one alone may act (files, words to the user), rank 0 does and tells the others
what came of it. What they tell one another is JSON and plain numbers, never a pickle. A process that was started alone
is the only rank, and none of this does anything then.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count as counter
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from softprompt.errors import SoftPromptError

if TYPE_CHECKING:
    from torch import Tensor

_T = TypeVar("_T")
_LAUNCHED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # what torchrun gives to every process
_TOLD = "told"  # counts, in the store that torchrun keeps, who wanted to tell a fault


class Store(Protocol):
    """What torchrun keeps for all ranks: numbers by name."""

    def add(self, key: str, amount: int, /) -> int:
        """Add to a number; what it is then."""


class ToldElsewhere(SoftPromptError):
    """A fault that another rank tells, so that it is told once."""


class RankLost(SoftPromptError):
    """Another rank of the training is gone."""


@dataclass(frozen=True)
class Launch:
    """As what a process was started.

    Attributes:
        index: its rank.
        count: how many ranks there are.
        local: its rank among those of its machine.
    """

    index: int = 0
    count: int = 1
    local: int = 0


def launched() -> Launch:
    """As what this process was started, by its environment."""
    if any(not os.environ.get(name) for name in _LAUNCHED):
        return Launch()
    try:
        index, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        return Launch(index, count, int(os.environ.get("LOCAL_RANK", index)))
    except ValueError:
        raise SoftPromptError("RANK, WORLD_SIZE or LOCAL_RANK is no number: start the ranks with torchrun") from None


def one_process(what: str) -> None:
    """Make sure that this process was started alone.

    Args:
        what: is asked for, as the message begins.

    Raises:
        SoftPromptError: it is a rank among several.
    """
    count = launched().count
    if count > 1:
        raise SoftPromptError(f"{what}: runs in one process, and torchrun started {count}: start it without torchrun")


@dataclass(frozen=True)
class Ranks:
    """This process among the ranks of a training.

    Attributes:
        index: its rank, from 0.
        count: how many there are.
    """

    index: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether it is the one that writes files and speaks."""
        return self.index == 0

    def first(self, action: Callable[[], _T]) -> _T:
        """What an action gives that rank 0 alone does: a JSON value, known to all.

        Raises:
            SoftPromptError: its fault, on every rank.
        """
        if self.count == 1:
            return action()
        value, fault = _tried(action) if self.leads else (None, None)
        told, other = self.gathered((value, None if fault is None else str(fault)))[0]
        if fault is not None:
            raise fault
        if other is not None:
            raise SoftPromptError(other)
        return cast("_T", told)

    def together(self, action: Callable[[], _T]) -> _T:
        """What an action gives that every rank does.

        Raises:
            SoftPromptError: the fault of the first rank that has one, on every rank.
        """
        if self.count == 1:
            return action()
        value, fault = _tried(action)
        faults = self.gathered(None if fault is None else str(fault))
        if fault is not None:
            raise fault
        other = next((one for one in faults if one is not None), None)
        if other is not None:
            raise SoftPromptError(other)
        return cast("_T", value)

    def gathered(self, own: _T) -> list[_T]:
        """What every rank has, as JSON gives it back: a tuple is a list then."""
        if self.count == 1:
            return [own]
        import torch
        from torch import distributed

        data = json.dumps(own).encode()
        sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.count)]
        with _talking():
            distributed.all_gather(sizes, torch.tensor([len(data)]))
            longest = max(int(size) for size in sizes)
            padded = torch.frombuffer(bytearray(data.ljust(longest)), dtype=torch.uint8)
            found = [torch.empty(longest, dtype=torch.uint8) for _ in range(self.count)]
            distributed.all_gather(found, padded)
        return [json.loads(bytes(one.tolist())) for one in found]

    def any(self, asked: bool) -> bool:
        """Whether it is so on any rank."""
        return any(self.gathered(asked))

    def sum(self, numbers: Tensor) -> None:
        """Add up the numbers of all ranks, in place; the sum has the same bits everywhere."""
        if self.count > 1:
            from torch import distributed

            with _talking():
                distributed.all_reduce(numbers)

    def mine(self, rows: Sequence[_T]) -> list[_T]:
        """This rank's part of some rows: every so many-th of them."""
        return list(rows[self.index :: self.count])


def _tried(action: Callable[[], _T]) -> tuple[_T | None, SoftPromptError | None]:
    try:
        return action(), None
    except SoftPromptError as error:
        return None, error


@contextmanager
def _talking() -> Iterator[None]:
    """Take a line that is cut for what it means: another rank is gone."""
    try:
        yield
    except RuntimeError as error:  # of all backends, and of torch's own store
        raise _lost() from error


def _lost() -> RankLost:
    return RankLost(
        "another rank of this training ended, so that this one cannot go on: see what it told; where it was killed, "
        "start all of them again with --resume (resume=True)"
    )


_HERE: list[Ranks] = []
_MEETINGS = counter()  # of this process; every rank counts the same


def here() -> Ranks:
    """This process among the ranks; the only one outside `joined`."""
    return _HERE[-1] if _HERE else Ranks()


@contextmanager
def joined() -> Iterator[Ranks]:
    """Let the ranks that torchrun started know one another inside the block.

    A fault that ends one of them ends all: the others' lines are cut, and it is told once.

    Raises:
        ToldElsewhere: a fault that another rank tells.
        RankLost: another rank is gone and said nothing.
    """
    launch = launched()
    if _HERE or launch.count == 1:
        yield here()
        return
    store = _connected(launch)
    _HERE.append(Ranks(launch.index, launch.count))
    try:
        yield here()
    except Exception as error:
        fault = _lost() if _is_cut(error) else error
        if not _first_to_tell(store) and isinstance(fault, SoftPromptError):
            raise ToldElsewhere(str(fault)) from None
        if fault is not error:
            raise fault from None
        raise
    finally:
        _HERE.clear()
        _leave()


def _connected(launch: Launch) -> Store:
    """Meet the other ranks; the store in which torchrun keeps what they have to know."""
    import torch
    from torch import distributed
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    try:
        kept, _, _ = next(rendezvous("env://"))
        # What ranks left in it when they met before would be taken for what they say now.
        store = PrefixStore(f"softprompt/{next(_MEETINGS)}", kept)
        if not distributed.is_initialized():
            backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
            distributed.init_process_group(backend, store=store, rank=launch.index, world_size=launch.count)
    except (RuntimeError, ValueError) as error:
        told = " ".join(str(error).split())
        raise SoftPromptError(f"rank {launch.index} of {launch.count} cannot meet the others ({told[:200]})") from None
    return cast("Store", store)


def _leave() -> None:
    from torch import distributed

    if distributed.is_initialized():
        distributed.destroy_process_group()


def _is_cut(error: Exception) -> bool:
    """Whether a fault is a cut line that torch's own code came upon."""
    from torch import distributed

    if isinstance(error, distributed.DistError):
        return True
    return isinstance(error, RuntimeError) and "gloo" in str(error)


def _first_to_tell(store: Store) -> bool:
    try:
        return int(store.add(_TOLD, 1)) == 1
    except RuntimeError:  # whoever kept it is gone
        return True


@contextmanager
def hidden() -> Iterator[None]:
    """Let a library inside the block take this process for one that was started alone."""
    names = (*_LAUNCHED, "LOCAL_RANK", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)
