r"""Whether probabilities can be believed: calibration curve and error.

Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, <https://arxiv.org/abs/1706.04599>, equation 3: rows
in M bins of equal width by the probability of the answer that was given,

    ECE = sum_m |B_m| / n * | acc(B_m) - conf(B_m) |

acc(B_m) is the share of right answers in a bin, conf(B_m) the mean probability. M = 10 is our choice; the paper has 15,
for test sets of thousands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

BINS = 10


@dataclass(frozen=True)
class Bin:
    """Rows whose answers have about the same probability.

    Attributes:
        rows: how many.
        confidence: the mean probability.
        right: how many answers are right.
    """

    rows: int
    confidence: float
    right: int

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return self.right / self.rows


@dataclass(frozen=True)
class Calibration:
    """The bins in which there are rows, and the error.

    Attributes:
        bins: by their probability.
        error: ECE.
    """

    bins: tuple[Bin, ...]
    error: float


def calibration(probabilities: Sequence[float], right: Sequence[bool], bins: int = BINS) -> Calibration:
    """Bins and error of answers.

    Args:
        probabilities: of the answer that was given, a row each; at least one.
        right: whether it is right.
        bins: M.
    """
    members: dict[int, list[int]] = {}
    for place, one in enumerate(probabilities):
        members.setdefault(min(bins - 1, int(one * bins)), []).append(place)
    made = [
        Bin(len(own), sum(probabilities[place] for place in own) / len(own), sum(right[place] for place in own))
        for _, own in sorted(members.items())
    ]
    error = sum(one.rows * abs(one.accuracy - one.confidence) for one in made) / len(probabilities)
    return Calibration(tuple(made), error)
