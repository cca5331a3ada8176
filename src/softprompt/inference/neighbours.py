"""The order in which encoded rows are answered: the longest first, and those that begin alike side by side.

In a batch of a causal model what neighbours have in common is computed once (`sites/prefix_sharing.py`): a passage
about which many questions are asked runs once a batch.
"""

from __future__ import annotations

from collections.abc import Sequence

from softprompt.readouts import Item


def longest_first(items: Sequence[Item], *, alike: bool) -> list[int]:
    """The places of rows, the longest first, so that memory runs out at once or never.

    Args:
        items: the rows.
        alike: keep rows that begin alike together; the longest of them says where.
    """
    order = sorted(range(len(items)), key=lambda place: -items[place].length)
    if not alike:
        return order
    found: list[list[int]] = []
    for place in sorted(order, key=lambda one: _ids(items[one])):
        if found and begin_alike(items[found[-1][-1]], items[place]):
            found[-1].append(place)
        else:
            found.append([place])
    rank = {place: index for index, place in enumerate(order)}
    found.sort(key=lambda members: min(rank[place] for place in members))
    return [place for members in found for place in members]


def begin_alike(one: Item, other: Item) -> bool:
    """Whether two texts have a third of the shorter one in common, as `sites/common_fronts.py` has it."""
    front, behind = _ids(one), _ids(other)
    third = -(-min(len(front), len(behind)) // 3)
    return third > 0 and front[:third] == behind[:third]


def _ids(item: Item) -> tuple[int, ...]:
    return tuple(item.texts[0].ids) if item.texts else ()
