"""Drawing rows: shares and few shots, the same for the same seed, the classes in their shares."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Sequence

from softprompt.errors import SoftPromptError
from softprompt.tasks.definition import TaskDefinition
from softprompt.tasks.rows import Row


def stratum_of(task: TaskDefinition) -> Callable[[Row], Hashable]:
    """The classes among which draws are even.

    Class indices; for a regression the halves of its bounds, as LM-BFF draws STS-B's shots; for a choice
    task with a fixed number of choices the right one; else all rows are of one class.
    """
    if task.kind == "regression" and task.bounds is not None:
        middle = sum(task.bounds) / 2
        return lambda row: isinstance(row.label, (int, float)) and row.label >= middle
    if task.kind == "classification" or (task.kind == "choice" and task.labels):
        return lambda row: row.label
    return lambda row: None


def take(rows: Sequence[Row], count: int, stratum: Callable[[Row], Hashable], seed: str) -> tuple[list[Row], list[Row]]:
    """Draw `count` rows with each stratum in its share, and return the rest and the drawn, in file order.

    Groups stay whole: with them, groups are drawn until the next one would pass `count`.
    """
    if any(row.group is not None for row in rows):
        return _take_groups(rows, count, seed)
    members = _strata(rows, stratum, seed)
    exact = {key: len(part) * count / len(rows) for key, part in members.items()}
    counts = {key: int(value) for key, value in exact.items()}
    by_remainder = sorted(exact, key=lambda key: counts[key] - exact[key])
    for key in by_remainder[: count - sum(counts.values())]:
        counts[key] += 1
    drawn = {position for key, part in members.items() for position in part[: counts[key]]}
    return _parted(rows, drawn)


def divide(
    rows: Sequence[Row], count: int, stratum: Callable[[Row], Hashable], seed: str
) -> tuple[list[Row], list[Row]]:
    """See `take`; both parts have rows.

    Raises:
        SoftPromptError: the rows are of too few groups.
    """
    rest, drawn = take(rows, count, stratum, seed)
    if rows and not (rest and drawn):
        raise too_few_groups(rows)
    return rest, drawn


def too_few_groups(rows: Sequence[Row]) -> SoftPromptError:
    """What is said of rows that cannot be divided with their groups whole."""
    count = len({row.group for row in rows})
    return SoftPromptError(
        f"rows of a group (column 'group') stay in one part, and {len(rows)} rows of too few groups ({count}) are "
        "not to be divided: give rows of more groups, or rename the column"
    )


def at_most(task: TaskDefinition, rows: list[Row], most: int | None) -> list[Row]:
    """So many test rows at most, not by the seed: runs of other seeds are compared on the same rows."""
    if most is None or len(rows) <= most:
        return rows
    return take(rows, most, stratum_of(task), "test rows")[1]


def draw_shots(
    rows: Sequence[Row],
    k: int,
    stratum: Callable[[Row], Hashable],
    seed: str,
    name: Callable[[Hashable], str],
) -> tuple[list[Row], list[Row]]:
    """Draw `k` rows a stratum, and return the rest and the drawn, in file order.

    Raises:
        SoftPromptError: a stratum has fewer.
    """
    drawn: set[int] = set()
    for key, part in _strata(rows, stratum, seed).items():
        if len(part) < k:
            raise SoftPromptError(f"{name(key)} is {len(part)} rows where {k} are to be drawn; ask for fewer shots")
        drawn.update(part[:k])
    return _parted(rows, drawn)


def distinct(rows: Sequence[Row]) -> list[Row]:
    """The rows without later ones of the same texts."""
    first: dict[tuple[str, ...], Row] = {}
    for row in rows:
        first.setdefault(tuple(row.fields.values()), row)
    return list(first.values())


def _strata(rows: Sequence[Row], stratum: Callable[[Row], Hashable], seed: str) -> dict[Hashable, list[int]]:
    """Positions of each stratum's rows, shuffled; strata in the order of their names, whatever the file's."""
    members: dict[Hashable, list[int]] = {}
    for position, row in enumerate(rows):
        members.setdefault(stratum(row), []).append(position)
    generator = random.Random(seed)
    ordered = {key: members[key] for key in sorted(members, key=str)}
    for part in ordered.values():
        generator.shuffle(part)
    return ordered


def _take_groups(rows: Sequence[Row], count: int, seed: str) -> tuple[list[Row], list[Row]]:
    groups: dict[str | int, list[int]] = {}  # a row of no group stands alone
    for position, row in enumerate(rows):
        groups.setdefault(position if row.group is None else row.group, []).append(position)
    names = list(groups)
    random.Random(seed).shuffle(names)
    drawn: set[int] = set()
    for name in names:
        if len(drawn) + len(groups[name]) > count and drawn:
            break
        drawn.update(groups[name])
    return _parted(rows, drawn)


def _parted(rows: Sequence[Row], drawn: set[int]) -> tuple[list[Row], list[Row]]:
    rest = [row for position, row in enumerate(rows) if position not in drawn]
    return rest, [rows[position] for position in sorted(drawn)]
