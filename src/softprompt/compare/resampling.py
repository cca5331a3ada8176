r"""Intervals and tests over rows and seeds at once, from the answers to each row.

A score is a function of two draws: of seeds, which fix what was trained, and of rows, which it was asked. With U_s the
sums that a metric f is made of (`tasks.metrics`) for each seed s, the score of a method is

    m = 1/K sum_s f(sum_r U_s[r])

**Interval.** Seeds and rows are drawn with replacement, each for itself, so that a row that is drawn twice is so for
every seed: all seeds answer the same rows, and their scores are not independent. It is the pigeonhole bootstrap of
A. B. Owen (2007), "The pigeonhole bootstrap", <https://arxiv.org/abs/0712.1111>, for crossed factors (rows and columns
of a table), which errs on the wide side where rows spread most; three seeds that spread more than the rows are too few
for it (`docs/results.md` has how often it covers). Percentiles of `scipy.stats.bootstrap`, 2000 draws of a fixed seed.

**Test.** Whether two methods answer rows alike: under that hypothesis a row's answers may be exchanged between them,
those of all seeds together, since they are about one row. `scipy.stats.permutation_test` exchanges rows at random (all
ways where they are few) and counts how often the difference is as large as the one that was found. Rows that both
answer alike change nothing and are left out, which leaves the distribution as it is. It asks of other rows with these
trained prompts; of other seeds asks the t test, and what stands in a table is the larger p of the two
(`significance`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.stats import bootstrap, permutation_test

from softprompt.compare.ranks import PLACES
from softprompt.tasks.metrics import METRICS, Array

DRAWS, EXCHANGES = 2000, 4999
_AT_ONCE = 250  # draws whose weights are held together
_SEED = 0
Indices = NDArray[np.int64]


class Answered(NamedTuple):
    """What one run answered.

    Attributes:
        rows: which test rows, as a hash.
        sums: what the metric is made of, `(units, S)`; a unit is a row, or a group of rows.
    """

    rows: str
    sums: Array


@dataclass(frozen=True)
class Units:
    """The answers of a method's runs on one task.

    Attributes:
        value: of the metric, from sums `(..., S)`.
        sums: one sparse matrix a seed, `(units, S)`; where each seed has rows of its own, those of others are zeros.
        blocks: units that are drawn together: all, or those of one seed.
        rows: hashes of the blocks' rows.
    """

    value: Callable[[Array], Array]
    sums: tuple[csr_array, ...]
    blocks: tuple[range, ...]
    rows: tuple[str, ...]

    @classmethod
    def of(cls, metric: str, runs: Mapping[int, Answered]) -> Units:
        """Those of runs by their seeds; at least one."""
        own = list(runs.values())
        value = METRICS[metric].value
        if len({(one.rows, len(one.sums)) for one in own}) == 1:
            return cls(value, tuple(csr_array(one.sums) for one in own), (range(len(own[0].sums)),), (own[0].rows,))
        ends = np.cumsum([0, *(len(one.sums) for one in own)]).tolist()
        blocks = tuple(range(start, end) for start, end in pairwise(ends))
        sums = []
        for one, block in zip(own, blocks, strict=True):
            whole = np.zeros((ends[-1], one.sums.shape[1]))
            whole[block.start : block.stop] = one.sums
            sums.append(csr_array(whole))
        return cls(value, tuple(sums), blocks, tuple(one.rows for one in own))

    def scores(self, weights: Array) -> Array:
        """The score of each seed, `(draws, seeds)`, where units count as often as `weights` `(draws, units)` says."""
        return np.stack([self.value(weights @ sums) for sums in self.sums], axis=-1)

    def matches(self, other: Units) -> bool:
        """Whether two methods answered the same rows with the same seeds."""
        return (self.rows, self.blocks, len(self.sums)) == (other.rows, other.blocks, len(other.sums))


def interval(units: Units) -> tuple[float, float] | None:
    """The 95 % interval of the mean score over seeds and rows; of one seed over rows alone.

    None where there are fewer than two units to draw from.
    """
    seeds = len(units.sums)
    if min(len(block) for block in units.blocks) < 2:
        return None
    samples = [np.arange(block.start, block.stop) for block in units.blocks]

    def statistic(*drawn: Indices, axis: int) -> Array:  # each `(..., n)`, n along the axis -1
        counts = [_counts(one, block) for one, block in zip(drawn, units.blocks, strict=False)]
        scores = units.scores(np.concatenate(counts, axis=-1))
        if seeds > 1:
            scores = np.take_along_axis(scores, drawn[-1].reshape(-1, seeds), axis=-1)
        means: Array = scores.mean(axis=-1).reshape(drawn[0].shape[:-1])
        return means

    data = [*samples, *([np.arange(seeds)] if seeds > 1 else [])]
    found = bootstrap(
        data,
        statistic,
        n_resamples=DRAWS,
        batch=_AT_ONCE,
        vectorized=True,
        method="percentile",
        random_state=np.random.default_rng(_SEED),
    ).confidence_interval
    return float(found.low), float(found.high)


def _counts(drawn: Indices, block: range) -> Array:
    """How often each unit of a block was drawn, `(draws, units)`."""
    places = drawn.reshape(-1, drawn.shape[-1]) - block.start
    width = len(block)
    flat = (places + width * np.arange(len(places))[:, None]).ravel()
    return np.bincount(flat, minlength=width * len(places)).reshape(-1, width).astype(np.float64)


def chance_over_rows(ours: Units, theirs: Units) -> float | None:
    """The two-sided p that rows' answers may be exchanged between two methods; None where all are alike.

    Args:
        ours: of one method.
        theirs: of another, of the same rows and seeds (`Units.matches`).
    """
    apart = [one - other for one, other in zip(ours.sums, theirs.sums, strict=True)]
    differing = np.flatnonzero(sum(abs(one).sum(axis=1) for one in apart))
    if len(differing) < 2:  # of one row there are two ways, and each is as large as half of them
        return 1.0 if len(differing) else None
    totals = [(one.sum(axis=0), other.sum(axis=0)) for one, other in zip(ours.sums, theirs.sums, strict=True)]
    moves = [one[differing] for one in apart]

    def statistic(x: Indices, y: Indices, axis: int) -> Array:
        exchanged = (x >= len(differing)).astype(np.float64)
        gaps = []
        for (own, other), move in zip(totals, moves, strict=True):
            change = (exchanged.reshape(-1, len(differing)) @ move).reshape(*exchanged.shape[:-1], -1)
            gaps.append(ours.value(own - change) - theirs.value(other + change))
        means: Array = np.round(np.stack(gaps).mean(axis=0), PLACES)  # scipy counts what is as large, and sums round
        return means

    places = np.arange(len(differing))
    found = permutation_test(
        (places, places + len(differing)),
        statistic,
        permutation_type="samples",
        vectorized=True,
        n_resamples=EXCHANGES,
        batch=_AT_ONCE,
        random_state=np.random.default_rng(_SEED),
    )
    return float(found.pvalue)
