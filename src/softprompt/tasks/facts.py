"""Facts to be recalled: the answer is one word of a large vocabulary, and a model ranks all of it.

LAMA (Petroni et al., EMNLP 2019, <https://arxiv.org/abs/1909.01066>) asks for the object of a subject and a relation,
and scores at which rank it stands: P@1 and P@10, the shares of facts whose object is the first, or one of the first
ten, and MRR, the mean of one by the rank.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from softprompt.guards import limits

Array: TypeAlias = NDArray[np.float64]
FACT = "fact"  # the kind of these tasks
METRICS = ("p_at_1", "p_at_10", "mrr")


def ranked(score: Callable[[int], float]) -> Callable[[object, Sequence[object], Sequence[object]], Array]:
    """Statistics of ranks, from 1; 0 is that of an answer which no word of the vocabulary is, and scores nothing."""

    def statistics(task: object, rows: Sequence[object], predictions: Sequence[object]) -> Array:
        ranks = [rank if isinstance(rank, int) else 0 for rank in predictions]
        return np.array([[score(rank) if rank else 0.0, 1.0] for rank in ranks], dtype=np.float64)

    return statistics


def complete(values: dict[str, object]) -> None:
    """Give a definition the metrics that facts have, where it names none."""
    if values.get("kind") == FACT:
        values["metrics"] = values.get("metrics") or METRICS


def check(kind: str, labels: Mapping[str, str], vocabulary: Sequence[str]) -> None:
    """Make sure that a vocabulary belongs to a task of facts, and that such a task has no labels.

    Raises:
        ValueError: it does not, or a word is empty or stands there twice.
    """
    if kind != FACT:
        if vocabulary:
            raise ValueError(f"vocabulary holds the answers to facts, and this is one of {kind}: take it out")
        return
    if labels:
        raise ValueError("a task of facts has no labels: its answers are words of the vocabulary")
    limits.check(len(vocabulary), limits.VOCABULARY, "words", "key 'vocabulary'")
    if len(set(vocabulary)) < len(vocabulary) or not all(word.strip() for word in vocabulary):
        raise ValueError("vocabulary: a word is empty or stands there twice")
