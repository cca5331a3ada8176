"""Successive halving: a trial that promises less than those before it goes no further.

Optuna's pruner decides, by the asynchronous rule (Li et al. 2020, https://arxiv.org/abs/1810.05934, algorithm 2) with
one rung: of the trials that have come as far, the best in `REDUCTION` go on. Each is judged when it comes there, by
those before it alone; of equals, as small validation sets have many, all go on. So what is cut follows from the values
and their order, and not from when a search was stopped.
"""

from __future__ import annotations

from collections.abc import Iterable

from optuna import create_study
from optuna.pruners import SuccessiveHalvingPruner

REDUCTION, SHARE = 2, 1 / 3  # half of the trials go on beyond a third of their evaluations; both our choice


def rung_of(evaluations: int) -> int:
    """After how many evaluations of a training its curve is judged.

    Args:
        evaluations: of a whole training.
    """
    return max(1, round(SHARE * evaluations))


def is_cut(values: Iterable[float]) -> bool:
    """Whether the last of some trials goes no further.

    Args:
        values: what each came to at the rung, in the order of the trials.

    Example:
        >>> from softprompt.compare.halving import is_cut
        >>> [is_cut([0.5, 0.75, 0.625, 0.625][: place + 1]) for place in range(4)]
        [False, False, True, False]
    """
    study, cut = create_study(direction="maximize", pruner=SuccessiveHalvingPruner(1, REDUCTION)), False
    for value in values:
        trial = study.ask()
        trial.report(value, 1)
        cut = trial.should_prune()
    return cut
