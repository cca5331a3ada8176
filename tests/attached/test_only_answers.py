"""Scores that lead to none of the answers are shut, token after token."""

from __future__ import annotations

import torch

from softprompt.attached.only_answers import OnlyAnswers

END = 2


def open_ids(only: OnlyAnswers, *rows: list[int]) -> list[list[int]]:
    scores = only(torch.tensor(rows), torch.zeros(len(rows), 20))
    return [row.isfinite().nonzero()[:, 0].tolist() for row in scores]


def test_an_answer_may_begin_another() -> None:
    only = OnlyAnswers([(10,), (10, 11), (12, 13, END)], END)
    assert only.longest == 3
    begun = [7, 99]  # whatever stood there before, ids beyond the vocabulary among it
    assert open_ids(only, begun, begun) == [[10, 12], [10, 12]]
    assert open_ids(only, [*begun, 10], [*begun, 12]) == [[END, 11], [13]]
    assert open_ids(only, [*begun, 10, 11], [*begun, 12, 13]) == [[END], [END]]
    assert open_ids(only, [*begun, 10, END, 0], [*begun, 12, 13, END]) == [[END], [END]]


def test_scores_that_are_let_through_stay() -> None:
    scores = torch.arange(20.0)[None]
    found = OnlyAnswers([(3,), (5,)], END)(torch.tensor([[1]]), scores)
    assert found[0, [3, 5]].tolist() == [3, 5]
    assert scores.isfinite().all()
