"""How long the cells of a table take that are still to be done, by those that ended while it was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import mean

from softprompt.compare.cells import Cell, kind_of

_NO_TASK = {"task": None, "data": None}


@dataclass
class Pace:
    """What cells took, and what others will.

    Attributes:
        cells: of the plan, by name.
        rows: that each trains on, by name; one that is not there counts as one row.
        seconds: of each cell that ended.
    """

    cells: Mapping[str, Cell]
    rows: Mapping[str, int]
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """See once which cells are alike."""
        self._kinds = {name: kind_of(cell) for name, cell in self.cells.items()}
        # What is trained, whatever the task.
        self._ways = {name: kind_of(cell.model_copy(update=_NO_TASK)) for name, cell in self.cells.items()}

    def expected(self, name: str) -> float | None:
        """The seconds of a cell; None before any ended.

        As those took that differ in the seed alone; else so many times its rows as the same method took a row with
        other tasks, and before it was seen at all, any method.
        """
        if alike := [took for one, took in self.seconds.items() if self._kinds[one] == self._kinds[name]]:
            return mean(alike)
        same = [one for one in self.seconds if self._ways[one] == self._ways[name]] or [*self.seconds]
        if not same:
            return None
        return self._trained(name) * sum(self.seconds[one] for one in same) / sum(map(self._trained, same))

    def _trained(self, name: str) -> int:
        return max(self.rows.get(name, 1), 1)
