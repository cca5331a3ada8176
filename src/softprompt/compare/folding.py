"""Into how many folds the training and validation rows of a task are divided, to measure a configuration on."""

from __future__ import annotations

from softprompt.tasks import Task
from softprompt.tasks.data.sampling import stratum_of

FOLDS, _ENOUGH = 4, 64  # folds where a class has fewer training rows than this; both our choice


def usual_folds(task: Task, seed: int) -> int:
    """Four folds where a class has fewer than 64 rows to train on, else none.

    Args:
        task: with its rows.
        seed: of their division.
    """
    stratum, counts = stratum_of(task), dict[object, int]()
    for row in task.splits(seed).train:
        counts[stratum(row)] = counts.get(stratum(row), 0) + 1
    return FOLDS if min(counts.values()) < _ENOUGH and not task.references else 1
