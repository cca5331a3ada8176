r"""Which of several methods is better by rows that were held out: the rule by which one is dropped, and one is taken.

Each row is held out once, and answered by a run that neither trained nor chose on it. The score of a method is the
task's metric f of all rows that it has answered so far. Two methods answer the same rows, so what counts is the error
of the difference d = f(ours) - f(theirs) when a row is missing, for both at once: the jackknife of Tukey, of n units

    error^2 = (n - 1) / n  sum_r (d_(r) - mean d)^2,    d_(r) the difference without unit r

which for accuracy is the standard error of a mean of paired differences. A unit is a row, or a group of rows that are
scored together. Other seeds and other training rows are not in it, and folds share training rows (Bengio & Grandvalet
2004, https://jmlr.org/papers/v5/grandvalet04a.html), so it errs on the small side.

**Dropped** is who is behind the best by more than two such errors: the rule of a race (Maron & Moore 1993, Hoeffding
races), with a paired error for their bound; two is our choice.

**Taken** is the one that stores the fewest bytes among those within one error of the best: the rule of one standard
error (Breiman et al. 1984, of trees: the simplest of those that cannot be told from the best). That fewer bytes are
simpler is our choice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from softprompt.evaluation.predictions import PREDICTIONS, read_predictions
from softprompt.tasks.metrics import METRICS, Array

DROPPED, TIED = 2.0, 1.0  # errors


@dataclass(frozen=True)
class HeldOut:
    """The answers of one method to rows that were held out.

    Attributes:
        metric: the task's main one.
        sums: what it is made of, `(units, S)`; folds one after another.
    """

    metric: str
    sums: Array

    @classmethod
    def of(cls, runs: Sequence[Path], metric: str) -> HeldOut:
        """Those of the runs of folds.

        Raises:
            SoftPromptError: a run has no answers, or damaged ones.
        """
        return cls(metric, np.concatenate([read_predictions(run / PREDICTIONS).sums(metric) for run in runs]))

    @property
    def score(self) -> float:
        """The metric of all rows."""
        return float(METRICS[self.metric].value(self.sums.sum(axis=0)))

    @property
    def error(self) -> float:
        """The standard error of the score."""
        return _jackknife(self._without_each())

    def first(self, units: int) -> HeldOut:
        """The answers to the first units alone."""
        return HeldOut(self.metric, self.sums[:units])

    def _without_each(self) -> Array:
        """The score without each unit in turn, `(units,)`; of a single unit nothing is left."""
        if len(self.sums) < 2:
            return np.zeros(0)
        return METRICS[self.metric].value(self.sums.sum(axis=0) - self.sums)

    def behind(self, best: HeldOut) -> Gap:
        """How far it is behind another, on the units that both have answered: the first of them."""
        count = min(len(self.sums), len(best.sums))
        own, other = self.first(count), best.first(count)
        return Gap(other.score - own.score, _jackknife(other._without_each() - own._without_each()))


@dataclass(frozen=True)
class Gap:
    """A difference of scores, and its standard error; infinite of a single unit."""

    mean: float
    error: float

    @property
    def clear(self) -> bool:
        """Whether who is behind is dropped."""
        return self.mean > DROPPED * self.error

    @property
    def tied(self) -> bool:
        """Whether the two cannot be told apart."""
        return self.mean <= TIED * self.error


def _jackknife(without: Array) -> float:
    count = len(without)
    if count < 2:
        return math.inf
    return float(math.sqrt((count - 1) / count * np.sum((without - without.mean()) ** 2)))


@dataclass(frozen=True)
class Taken:
    """What is taken.

    Attributes:
        place: of what is taken.
        best: place of the highest score.
        tied: places that cannot be told from the best, that one among them.
    """

    place: int
    best: int
    tied: tuple[int, ...]


def taken(answers: Sequence[HeldOut], stored_bytes: Sequence[int]) -> Taken:
    """The one that stores the fewest bytes among those that cannot be told from the best; of equals the first.

    Args:
        answers: of each, to the same rows; at least one.
        stored_bytes: of each.
    """
    scores = [one.score for one in answers]
    best = scores.index(max(scores))
    tied = tuple(place for place, one in enumerate(answers) if place == best or one.behind(answers[best]).tied)
    return Taken(min(tied, key=lambda place: (stored_bytes[place], place)), best, tied)
