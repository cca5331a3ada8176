"""Cases in which every two values meet, in place of all combinations of values.

A fault lies in one value (a method is wrong) or in two that meet (a method under left padding), hardly ever in three
alone. The invariants run over methods and families and, on top, over sides of padding, attentions, caches or heads:
by default every two of these meet, and `make test-slow` runs the rest of the product.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from itertools import combinations
from typing import TypeVar

Case = TypeVar("Case", bound=Hashable)


def pairwise(cases: Mapping[Case, tuple[str, ...]]) -> list[Case]:
    """Choose cases so that every two values which some case has together stay together in a chosen one.

    The two factors with the most values are crossed, for their pairs need a case each; that case is the one with the
    most pairs that did not meet yet, or else with those that met least. Pairs that are left over get cases of their
    own. The choice depends on the order of the cases alone.

    Args:
        cases: of each case its values, one for each factor.
    """
    if not cases:
        return []
    factors = list(zip(*cases.values(), strict=True))
    widest = sorted(range(len(factors)), key=lambda factor: -len(set(factors[factor])))[:2]
    pairs = {case: list(combinations(enumerate(values), 2)) for case, values in cases.items()}
    groups: dict[tuple[str, ...], list[Case]] = {}
    for case, values in cases.items():
        groups.setdefault(tuple(values[factor] for factor in widest), []).append(case)

    met: Counter[tuple[tuple[int, str], ...]] = Counter()
    chosen: dict[Case, None] = {}
    for group in groups.values():
        best = min(
            group, key=lambda case: (-sum(not met[pair] for pair in pairs[case]), sum(met[p] for p in pairs[case]))
        )
        chosen[best] = met.update(pairs[best])
    for case in cases:
        if any(not met[pair] for pair in pairs[case]):
            chosen[case] = met.update(pairs[case])
    return list(chosen)
