"""What the columns of one row see of each other."""

from __future__ import annotations

import pytest
import torch

from softprompt.sites.shared_attention import Block


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (None, [[[1, 1, 1, 0], [1, 1, 1, 1]], [[1, 1, 1, 0], [1, 1, 1, 1]]]),
        (2, [[[0, 1, 1, 0], [0, 0, 1, 1]], [[0, 1, 1, 0], [1, 1, 1, 1]]]),
    ],
)
def test_a_column_sees_what_stands_before_it(window: int | None, expected: list[list[list[int]]]) -> None:
    """Two virtual tokens, two rows of two and of one: filler sees anything."""
    virtual = Block(torch.tensor([2]), 0, torch.tensor([0]))
    rows = Block(torch.tensor([2, 1]), 2, torch.tensor([2, 2]), ((virtual, None),))
    assert rows.mask(window)[:, 0].int().tolist() == expected
