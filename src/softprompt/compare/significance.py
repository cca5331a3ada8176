r"""Whether one way of training is better than another: runs of the same seeds, compared seed by seed.

A seed fixes the rows to train on and the first values, so runs of one seed are a pair. With the differences d_1..d_n of
the metric, their mean m and sample deviation s, Student's paired t test gives

    t = m / (s / sqrt(n)),   p = 2 P(T_{n-1} <= -|t|),   95 % interval  m +- q s / sqrt(n),  q = T^-1_{n-1}(0.975)

It asks whether the difference would hold for other seeds, on these test rows. Its power is small: with 3 seeds m has to
exceed 2.48 s before p < 0.05, with 5 seeds 1.24 s. A test over pooled rows and seeds (McNemar) would look stronger, but
all seeds answer the same test rows, so its pairs are not independent; and a sign test cannot get below 2 / 2^n, 0.0625
for 5 seeds. Several comparisons with one reference are adjusted by Holm's step-down method.

Whether it would hold for other rows, with these seeds, asks the permutation test of `compare.resampling`, where the
answers to the rows are there. A difference is worth telling where it holds for both, so the p of a table is the larger
of the two (`larger`): a test of "either is chance", whose level is kept whatever the two have to do with one another
(R. L. Berger, "Multiparameter Hypothesis Testing and Acceptance Sampling", 1982).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy.special import stdtr, stdtrit

from softprompt.compare.results import Difference, GroupFigures

TEST = "paired t test over seeds, two-sided; p_holm: Holm over the comparisons with the reference"
_LEAST = 1e-12  # a deviation below it is the rounding of equal differences


@dataclass(frozen=True)
class Paired:
    """The difference of paired runs.

    Attributes:
        pairs: how many seeds both have.
        mean: of the differences.
        interval: its 95 % interval; None where there are fewer than two pairs or the differences do not vary.
        p: of the t test; None as the interval.
    """

    pairs: int
    mean: float
    interval: tuple[float, float] | None
    p: float | None


def paired(ours: Sequence[float], theirs: Sequence[float]) -> Paired:
    """Compare paired figures, ours minus theirs.

    Args:
        ours: a figure a seed.
        theirs: those of the same seeds, in the same order; at least one.

    Raises:
        ValueError: of different lengths, or none.
    """
    differences = [one - other for one, other in zip(ours, theirs, strict=True)]
    if not differences:
        raise ValueError("nothing to compare")
    count, mean = len(differences), fmean(differences)
    deviation = stdev(differences) if count > 1 else 0.0
    if deviation < _LEAST:
        return Paired(count, mean, None, None)
    error = deviation / math.sqrt(count)
    reach = float(stdtrit(count - 1, 0.975)) * error
    return Paired(count, mean, (mean - reach, mean + reach), 2 * float(stdtr(count - 1, -abs(mean) / error)))


def larger(p_seeds: float | None, p_rows: float | None) -> float | None:
    """The p that a difference is chance in seeds or in rows; of the one alone where the other cannot be asked."""
    return max((p for p in (p_seeds, p_rows) if p is not None), default=None)


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Adjust the p values of several comparisons so that the chance of any false alarm stays below the level.

    S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", 1979: the i-th smallest of m is multiplied by
    m - i + 1, never falls below the one before it, and stays at most 1.

    Args:
        values: p values; None for a comparison without a test, which stays None and is not counted.
    """
    order = sorted((value, place) for place, value in enumerate(values) if value is not None)
    adjusted: list[float | None] = [None] * len(values)
    least = 0.0
    for rank, (value, place) in enumerate(order):
        least = max(least, min(1.0, (len(order) - rank) * value))
        adjusted[place] = least
    return adjusted


def compare(groups: Mapping[str, Mapping[int, float]], reference: str) -> dict[str, GroupFigures]:
    """Mean and deviation of each group, and its difference to the reference.

    Args:
        groups: a figure for each seed, by the group's name; none of them empty.
        reference: the group that the others are compared with, seed by seed.

    """
    found: dict[str, Paired] = {}
    for name, figures in groups.items():
        both = [seed for seed in figures if seed in groups[reference]]
        if name != reference and both:
            found[name] = paired([figures[seed] for seed in both], [groups[reference][seed] for seed in both])
    adjusted = dict(zip(found, holm([one.p for one in found.values()]), strict=True))
    return {
        name: {
            "mean": fmean(figures.values()),
            "deviation": stdev(figures.values()) if len(figures) > 1 else None,
            "difference": _difference(found[name], adjusted[name]) if name in found else None,
        }
        for name, figures in groups.items()
    }


def _difference(found: Paired, p_holm: float | None) -> Difference:
    return {"pairs": found.pairs, "mean": found.mean, "interval": found.interval, "p": found.p, "p_holm": p_holm}
