"""Which trial of a search is taken: the best by validation alone, where it beats the default by more than noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import stdev

_Z = 1.959963984540054  # a 95 % interval's half is so many standard errors
Score = tuple[float, tuple[float, float]]  # a figure and its 95 % interval


@dataclass(frozen=True)
class Choice:
    """What was taken.

    Attributes:
        place: of what is taken; 0 is the default.
        best: place of the highest mean, which is not taken where it is within noise of the default's.
        gain: of that mean over the default's.
        error: the standard error of the gain.
    """

    place: int
    best: int
    gain: float
    error: float


def chosen(scores: Sequence[Sequence[Score]]) -> Choice:
    """The highest mean, if it is higher than the default's by more than one standard error; of equal ones the first.

    Of several folds the error is that of the paired differences: an estimate from below, since the folds share training
    rows (Bengio & Grandvalet 2004, https://jmlr.org/papers/v5/grandvalet04a.html). Of one set of rows it is taken from
    both intervals as if these were of different rows: an estimate from above. The rule of one standard error is that of
    Breiman et al. (1984) for trees; that the default is what it prefers is our choice. The best of many trials looks
    better than it is by its luck, which no error here counts.

    Args:
        scores: of each trial, its folds' in their order; the default's first, and none of a trial that failed.

    Example:
        >>> from softprompt.compare.choice import chosen
        >>> chosen([[(0.80, (0.7, 0.9))], [(0.82, (0.72, 0.92))]]).place
        0
        >>> chosen([[(0.80, (0.79, 0.81))], [(0.92, (0.91, 0.93))]]).place
        1
    """
    means = [sum(value for value, _ in own) / len(own) if own else -math.inf for own in scores]
    best = means.index(max(means))
    gain, error = means[best] - means[0], _error(scores[0], scores[best]) if best else 0.0
    return Choice(best if gain > error else 0, best, gain, error)


def _error(default: Sequence[Score], other: Sequence[Score]) -> float:
    """The standard error of a difference of means."""
    if len(default) > 1:
        differences = [after - before for (before, _), (after, _) in zip(default, other, strict=True)]
        return stdev(differences) / math.sqrt(len(differences))
    halves = [(high - low) / 2 / _Z for _, (low, high) in (default[0], other[0])]
    return math.hypot(*halves)
