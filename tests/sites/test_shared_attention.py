"""What the columns of one row see of each other."""

from __future__ import annotations

import pytest
import torch

from softprompt.sites.shared_attention import Block, by_length


@pytest.mark.parametrize(
    ("window", "causal", "expected"),
    [
        (None, True, [[[1, 1, 1, 0], [1, 1, 1, 1]], [[1, 1, 1, 0], [1, 1, 1, 1]]]),
        (2, True, [[[0, 1, 1, 0], [0, 0, 1, 1]], [[0, 1, 1, 0], [1, 1, 1, 1]]]),
        (None, False, [[[1, 1, 1, 1], [1, 1, 1, 1]], [[1, 1, 1, 0], [1, 1, 1, 1]]]),
        (2, False, [[[0, 1, 1, 1], [0, 0, 1, 1]], [[0, 1, 1, 0], [1, 1, 1, 1]]]),
    ],
)
def test_a_column_sees_what_stands_around_it(window: int | None, causal: bool, expected: list[list[list[int]]]) -> None:
    """Two virtual tokens, two rows of two and of one: filler sees anything, and of a causal model none what follows."""
    virtual = Block(torch.tensor([2]), 0, torch.tensor([0]))
    rows = Block(torch.tensor([2, 1]), 2, torch.tensor([2, 2]), ((virtual, None),))
    assert rows.mask(window, causal=causal)[:, 0].int().tolist() == expected


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([2, 3, 8, 9, 20, 20], [[2, 3], [8, 9], [20, 20]]),
        ([18, 19, 20, 20], [[18, 19, 20, 20]]),
        ([20, 1, 20, 1, 20, 1, 20, 1, 20, 1], [[20, 1] * 5]),  # out of order: blocks of one row each save nothing
        ([5], [[5]]),
    ],
)
def test_rows_of_about_one_length_are_a_block(lengths: list[int], expected: list[list[int]]) -> None:
    virtual = Block(torch.tensor([2, 1]), 0, torch.tensor([0, 0]), (), torch.tensor([0, 1]))
    prompts, starts = torch.arange(len(lengths)) % 2, torch.arange(len(lengths))
    found = by_length(torch.tensor(lengths), 3, starts, ((virtual, prompts),), prompts)
    assert [block.lengths.tolist() for block in found] == expected
    assert torch.cat([block.begins for block in found]).tolist() == [
        3 + sum(lengths[:row]) for row in range(len(lengths))
    ]
    assert torch.cat([block.starts for block in found]).tolist() == starts.tolist()
    assert torch.cat([block.prompts for block in found]).tolist() == prompts.tolist()
    assert torch.cat([block.above[0][1] for block in found]).tolist() == prompts.tolist()
