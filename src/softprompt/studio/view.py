"""The table of runs as it is asked for: which runs, in which order, in which groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean
from typing import Literal, NamedTuple
from urllib.parse import urlencode

from softprompt.studio.listing import Line

Column = Literal["name", "state", "task", "method", "backbone", "seed", "score", "trained", "seconds", "changed"]
By = Literal["", "task", "method", "backbone", "state"]
COLUMNS: dict[Column, str] = {
    "name": "run",
    "state": "state",
    "task": "task",
    "method": "method",
    "backbone": "backbone",
    "seed": "seed",
    "score": "score [95 % interval]",
    "trained": "trained",
    "seconds": "seconds",
    "changed": "changed",
}
NUMBERS = frozenset({"seed", "score", "trained", "seconds", "changed"})
GROUPS: tuple[By, ...] = ("", "task", "method", "backbone", "state")


@dataclass(frozen=True)
class View:
    """What is asked for.

    Attributes:
        find: words, each of which stands somewhere in a run's line.
        sort: the column that orders.
        down: from the greatest.
        group: what runs of one group have in common; empty for one group.
    """

    find: str = ""
    sort: Column = "changed"
    down: bool = True
    group: By = ""

    def query(self) -> str:
        """It as the query of an address."""
        return urlencode(self.fields())

    def fields(self) -> dict[str, str]:
        """It as the fields of a form."""
        found = {"find": self.find, "sort": self.sort, "down": "1" if self.down else "", "group": self.group}
        return {name: value for name, value in found.items() if value or name == "down"}

    def by(self, column: Column) -> View:
        """The same ordered by a column: numbers from the greatest first, and again the other way round."""
        return replace(self, sort=column, down=not self.down if column == self.sort else column in NUMBERS)


class Group(NamedTuple):
    """Runs that have something in common.

    Attributes:
        title: what; empty where nothing was asked for.
        lines: in their order.
        told: how many they are, and the mean of their scores where all are of one metric.
    """

    title: str
    lines: list[Line]
    told: str


def grouped(lines: Sequence[Line], view: View) -> list[Group]:
    """The runs that are asked for; groups by their names, and runs of which nothing is known last."""
    words = view.find.lower().split()
    found = [line for line in lines if all(word in _text(line) for word in words)]
    known = [line for line in found if _value(line, view.sort) is not None]
    known.sort(key=lambda line: line.name)
    known.sort(key=lambda line: _key(line, view.sort), reverse=view.down)
    ordered = [*known, *(line for line in found if _value(line, view.sort) is None)]
    groups: dict[str, list[Line]] = {}
    for line in ordered:
        groups.setdefault(_common(line, view.group), []).append(line)
    return [
        Group(title, own, _told(own)) for title, own in sorted(groups.items(), key=lambda one: one[0] or "\U0010ffff")
    ]


def _text(line: Line) -> str:
    return " ".join((line.name, line.state, line.task, line.method, line.backbone, line.fault)).lower()


def _common(line: Line, group: By) -> str:
    return "" if not group else str(getattr(line, group))


def _value(line: Line, column: Column) -> str | float | None:
    found = line.value if column == "score" else getattr(line, column)
    return found if isinstance(found, str | int | float) and found != "" else None


def _key(line: Line, column: Column) -> tuple[float, str]:
    found = _value(line, column)
    return (0.0, found.lower()) if isinstance(found, str) else (float(found or 0), "")


def _told(lines: Sequence[Line]) -> str:
    count = "1 run" if len(lines) == 1 else f"{len(lines)} runs"
    scored = [line for line in lines if line.state == "finished" and line.value is not None]
    if len(scored) < 2 or len({(line.task, line.metric) for line in scored}) > 1:
        return count
    return f"{count}, mean {scored[0].metric} {mean(line.value or 0.0 for line in scored):.3f}"
