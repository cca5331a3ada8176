r"""Average ranks of methods over tasks, and which of them differ.

J. Demšar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7, 2006,
<https://www.jmlr.org/papers/v7/demsar06a.html>. On each of N tasks the best of k methods has rank 1, ties their mean
rank; R_j is the mean over tasks. Friedman's test asks whether all methods are alike; Nemenyi's says that two differ
where their average ranks are further apart than

    CD = q_alpha sqrt(k (k + 1) / (6 N)),   q_alpha = quantile of the studentised range (k, infinite) / sqrt(2)

Tasks are what is drawn here, so that few of them show little, however many seeds stand behind each score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
from scipy.stats import friedmanchisquare, rankdata, studentized_range

LEVEL = 0.05
PLACES = 12  # decimal places in which scores are alike: beyond them is the rounding of their sums


@dataclass(frozen=True)
class Ranks:
    """The ranks of methods that have a score on every task.

    Attributes:
        methods: best first.
        mean: the average rank of each.
        tasks: how many.
        chance: p of Friedman's test; None for two methods, or where all scores are alike.
        distance: CD at 5 %.
    """

    methods: tuple[str, ...]
    mean: tuple[float, ...]
    tasks: int
    chance: float | None
    distance: float

    def alike(self) -> list[tuple[int, int]]:
        """Groups that Nemenyi's test does not tell apart, as the places of their first and last method."""
        groups: list[tuple[int, int]] = []
        for start, first in enumerate(self.mean):
            end = max(place for place, rank in enumerate(self.mean) if rank - first <= self.distance)
            if end > start and (not groups or end > groups[-1][1]):
                groups.append((start, end))
        return groups


def ranked(scores: Sequence[Sequence[float]], methods: Sequence[str]) -> Ranks | None:
    """The ranks of scores of which more is better; None for fewer than two tasks or methods.

    Args:
        scores: a row a task, `(tasks, methods)`.
        methods: their names.
    """
    if len(scores) < 2 or len(methods) < 2:
        return None
    table = np.round(np.asarray(scores, dtype=np.float64), PLACES)
    ranks = rankdata(-table, axis=1)
    mean = ranks.mean(axis=0)
    told = len(methods) > 2 and bool((ranks != ranks[:, :1]).any())
    chance = float(friedmanchisquare(*table.T).pvalue) if told else None
    order = sorted(range(len(methods)), key=lambda place: (mean[place], methods[place]))
    return Ranks(
        methods=tuple(methods[place] for place in order),
        mean=tuple(float(mean[place]) for place in order),
        tasks=len(table),
        chance=chance,
        distance=critical_distance(len(methods), len(table)),
    )


def critical_distance(methods: int, tasks: int) -> float:
    """How far apart two average ranks have to be for Nemenyi's test at 5 %."""
    quantile = float(studentized_range.ppf(1 - LEVEL, methods, inf)) / sqrt(2)
    return quantile * sqrt(methods * (methods + 1) / (6 * tasks))
