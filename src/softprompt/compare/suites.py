"""Averages over suites of tasks, as the papers of this line print them.

**SuperGLUE as in CaPT's paper** (Table 1): the plain mean of six tasks, CB by the mean of accuracy and macro-F1 and
MultiRC by F1 over all answers, the others by accuracy. Behind its average the paper prints the mean of the tasks'
deviations over seeds: 77.51 +- .33 for CaPT on T5-Base is that of .09, .59, .33, .07, .76 and .12.

**SPT's ten tasks**: those of LPT, whose list its code verifies; that SPT's paper has the same ten is not checked. Each
by accuracy, which is our choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev


@dataclass(frozen=True)
class Suite:
    """Tasks that are averaged.

    Attributes:
        name: of the suite.
        metrics: of each task, by its name.
    """

    name: str
    metrics: Mapping[str, str]


@dataclass(frozen=True)
class SuiteAverage:
    """What a method reaches on a suite.

    Attributes:
        mean: of the tasks' means over their seeds.
        deviation: the mean of the tasks' deviations over their seeds; None where a task has one seed.
    """

    mean: float
    deviation: float | None


_ACCURACY = "accuracy"
SUITES = (
    Suite(
        "SuperGLUE (CaPT's six)",
        {
            "boolq": _ACCURACY,
            "cb": "cb_score",
            "copa": _ACCURACY,
            "multirc": "f1a",
            "rte": _ACCURACY,
            "wic": _ACCURACY,
        },
    ),
    Suite(
        "SPT's ten",
        dict.fromkeys(("sst2", "mpqa", "mr", "subj", "trec", "mnli", "mrpc", "qnli", "qqp", "rte"), _ACCURACY),
    ),
)


def average(scores: Sequence[Sequence[float]]) -> SuiteAverage:
    """The average over tasks.

    Args:
        scores: of each task those of its seeds, at least one.
    """
    several = all(len(own) > 1 for own in scores)
    return SuiteAverage(fmean(map(fmean, scores)), fmean(map(stdev, scores)) if several else None)
