"""Generation that gives one of some answers, such as a task's label words, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor


class OnlyAnswers(LogitsProcessor):
    """Lets through what leads to one of the answers, and the end behind it; of one call of `generate`.

    It counts new tokens from the width of the first call on, so it is shown whole sequences, virtual tokens included.

    Args:
        answers: the ids of each.
        end: the id that closes an answer.
    """

    def __init__(self, answers: Sequence[tuple[int, ...]], end: int) -> None:
        self.end = end
        self.answers = [ids if ids[-1] == end else (*ids, end) for ids in answers]
        self._width: int | None = None

    @property
    def longest(self) -> int:
        """How many tokens the longest answer and its end are."""
        return max(map(len, self.answers))

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """The scores, minus infinity where no answer goes on."""
        if self._width is None:
            self._width = input_ids.shape[1]
        shut = torch.ones_like(scores, dtype=torch.bool)
        for row, begun in enumerate(input_ids[:, self._width :].tolist()):
            shut[row, self._next(tuple(begun))] = False
        return scores.masked_fill(shut, float("-inf"))

    def _next(self, begun: tuple[int, ...]) -> list[int]:
        count = len(begun)
        return sorted({ids[count] for ids in self.answers if len(ids) > count and ids[:count] == begun}) or [self.end]
