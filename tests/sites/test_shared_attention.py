"""Columns of one row as rows, and back."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from softprompt.sites.shared_attention import Block


def block(*lengths: int, first: int = 2) -> Block:
    return Block(torch.tensor(lengths), first, torch.full((len(lengths),), 4))


@pytest.mark.parametrize("lengths", [(3, 1, 2), (2, 2), (4,)])
def test_columns_become_rows_and_columns_again(lengths: tuple[int, ...]) -> None:
    own, total = block(*lengths), sum(lengths)
    states = torch.randn(1, 5, 2 + total + 3, 7)  # heads before columns, other blocks around these
    rows = own.rows(states)
    assert rows.shape == (len(lengths), 5, max(lengths), 7)
    assert torch.equal(own.columns(rows.transpose(1, 2)), states[:, :, 2 : 2 + total].transpose(1, 2))
    for row, length in zip(rows, lengths, strict=True):
        assert not row[:, length:].any()


def test_the_gradient_is_that_of_an_index() -> None:
    own = block(3, 1, 2)

    def there_and_back(states: Tensor) -> Tensor:
        return own.columns(own.rows(states).transpose(1, 2).square())

    states = torch.randn(1, 2, 9, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(there_and_back, states)
    assert torch.autograd.gradgradcheck(there_and_back, states)


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
