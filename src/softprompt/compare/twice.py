"""What stands twice in a plan: a line for each two entries whose cells would be the same, not one for each cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from softprompt.compare.plan import ComparePlan

_MENDS = {
    "tasks": "leave one out, or give its rows to a task's file with a name of its own",
    "backbones": "leave one out, or make a table of its own of it: cells have the last part of a backbone's name",
    "methods": "leave one out, or call its preset's file otherwise",
}


def given_twice(plan: ComparePlan) -> Iterator[str]:
    """The seeds and the shots that stand in a plan before."""
    for key, values in (("seeds", plan.seeds), ("shots", plan.shots)):
        for place, value in enumerate(values):
            if value in values[:place]:
                yield f"{key}[{place}]: {'null' if value is None else value} stands there before: leave one out"


def same_cells(places: Mapping[str, Sequence[Mapping[str, int]]]) -> list[str]:
    """The entries that give cells of one name.

    Args:
        places: of each cell's name where in a plan the cells of that name come from, by the plan's keys.
    """
    found: dict[tuple[str, str], str] = {}
    for name, (first, *others) in places.items():
        for other in others:
            keys = [key for key in first if first[key] != other[key]]
            ours, theirs = (" with ".join(f"{key}[{one[key]}]" for key in keys) for one in (other, first))
            line = f"{ours}: the same cells as {theirs}, as {name}: {_MENDS[keys[0]]}"
            found.setdefault((ours, theirs), line)
    return list(found.values())
