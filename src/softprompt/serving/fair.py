"""A queue that is fair among tasks and knows lengths: which rows make the next batch.

Whoever was served least comes next: start-time fair queueing (Goyal, Vin, Cheng, "Start-Time Fair Queuing", SIGCOMM
1996, <https://doi.org/10.1145/248157.248171>). Of each task the columns that it was given are counted; the task with
the fewest gives the next row, in the order in which its rows came; one that was idle begins where the least served of
the others stand, and so can save nothing up. A hundred rows of one task delay another's single row by its share alone.

Where rows are padded, a batch costs its rows times its longest one, so rows of like lengths are put together: one that
is more than twice as long as another of the batch stays for the next one, unless it has waited long already. Where a
batch runs as one row of its own columns (`sites/prefix_sharing.py`), it costs what its rows cost; inside attention
alone each is as wide as the longest, which matters to long ones only. (Our choice; below 32 columns a pass costs about
as much whatever their number, and below 128 attention is a small part of it.)
"""

from __future__ import annotations

from collections import deque
from typing import Generic, Protocol, TypeVar

_LOOK_AHEAD = 64  # rows of a task among which one of a fitting length is looked for
# A batch's longest row to its shortest, which counts as so many columns at least: where rows are padded, and elsewhere.
_PADDED, _AS_ONE = (2, 32), (4, 128)


class Waiting(Protocol):
    """A row that waits."""

    @property
    def task(self) -> str:
        """Among whom the queue is fair."""

    @property
    def longest(self) -> int:
        """Columns of its longest sequence."""

    @property
    def cost(self) -> int:
        """Columns of all of them, padded to the longest."""

    @property
    def arrived(self) -> float:
        """When it came, in seconds."""


W = TypeVar("W", bound=Waiting)


class FairQueue(Generic[W]):
    """Rows that wait; nothing here is safe to be used by several threads at a time.

    Args:
        pads: whether each row of a batch runs as wide as the longest.
    """

    def __init__(self, *, pads: bool = True) -> None:
        """Empty."""
        self._pads = pads
        self._lines: dict[str, deque[W]] = {}
        self._given: dict[str, int] = {}

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    @property
    def cost(self) -> int:
        """Columns of all that waits."""
        return sum(one.cost for line in self._lines.values() for one in line)

    @property
    def oldest(self) -> float | None:
        """When the row came that has waited longest; None where none waits."""
        return min((line[0].arrived for line in self._lines.values()), default=None)

    def add(self, one: W) -> None:
        """Let a row wait."""
        if one.task not in self._lines:
            least = min((self._given[task] for task in self._lines), default=0)
            if not self._lines:
                self._given.clear()
            self._given[one.task] = max(self._given.get(one.task, 0), least)
            self._lines[one.task] = deque()
        self._lines[one.task].append(one)

    def remove(self, one: W) -> bool:
        """Take a row out that is no more wanted; whether it was there."""
        line = self._lines.get(one.task)
        if line is None or one not in line:
            return False
        line.remove(one)
        self._close(one.task)
        return True

    def take(self, budget: int, late: float, most: int | None = None, *, some: bool = True) -> list[W]:
        """The rows of the next batch.

        Args:
            budget: columns of the batch, what is padded among them.
            late: a row that came before this has waited long.
            most: rows at most.
            some: take one row whatever it costs; else none, where the next one costs more.
        """
        batch: list[W] = []
        open_lines = set(self._lines)
        while open_lines and (most is None or len(batch) < most):
            task = min(open_lines, key=lambda name: (self._given[name], name))
            found = self._fitting(task, batch, budget, late)
            if not batch and not some and found is not None and found.cost > budget:
                return []
            if found is None:
                open_lines.remove(task)
                continue
            self._lines[task].remove(found)
            self._given[task] += found.cost
            batch.append(found)
            if not self._lines[task]:
                open_lines.remove(task)
                self._close(task)
        return batch

    def _fitting(self, task: str, batch: list[W], budget: int, late: float) -> W | None:
        """The first row of a task that goes with those of a batch."""
        if not batch:
            return self._lines[task][0]
        widths, (spread, short) = [one.longest for one in batch], _PADDED if self._pads else _AS_ONE
        narrow, wide, sequences = min(widths), max(widths), sum(one.cost // one.longest for one in batch)
        taken = sum(one.cost for one in batch)
        for one, _ in zip(self._lines[task], range(_LOOK_AHEAD), strict=False):
            width = max(wide, one.longest)
            alike = width <= spread * max(min(narrow, one.longest), short)
            cost = width * (sequences + one.cost // one.longest) if self._pads else taken + one.cost
            if (alike or one.arrived < late) and cost <= budget:
                return one
        return None

    def _close(self, task: str) -> None:
        if not self._lines[task]:
            del self._lines[task]
