"""Columns of one row as rows, and back."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from softprompt.sites.ragged import Ragged
from softprompt.sites.shared_attention import Block


@pytest.mark.parametrize("lengths", [(3, 1, 2), (2, 2), (4,)])
def test_columns_become_rows_and_columns_again(lengths: tuple[int, ...]) -> None:
    own, total = Ragged(torch.tensor(lengths), 2), sum(lengths)
    states = torch.randn(2 + total + 3, 7)  # other rows around these
    rows = own.apart(states)
    assert rows.shape == (len(lengths), max(lengths), 7)
    assert torch.equal(own.together(rows), states[2 : 2 + total])
    for row, length, begin in zip(rows, lengths, own.begins.tolist(), strict=True):
        assert torch.equal(row[:length], states[begin : begin + length])
        assert not row[length:].any()


@pytest.mark.parametrize("order", [(2, 0, 1), (1, 0, 2), (0, 1, 2)])
def test_rows_may_be_given_out_in_another_order_than_they_lie(order: tuple[int, ...]) -> None:
    lengths = torch.tensor([3, 1, 2])
    lying, own = Ragged(lengths, 2), Ragged(lengths, 2, torch.tensor(order))
    states = torch.randn(9, 7)
    assert torch.equal(own.apart(states), lying.apart(states)[[*order]])
    assert torch.equal(own.together(own.apart(states)), states[2:8])
    assert own.begins.tolist() == lying.begins[[*order]].tolist()
    assert own.lengths.tolist() == lengths[[*order]].tolist()


def test_heads_come_before_columns_in_attention() -> None:
    own = Block(torch.tensor([3, 1, 2]), 2, torch.full((3,), 4))
    states = torch.randn(1, 5, 11, 7)
    rows = own.rows(states)
    assert rows.shape == (3, 5, 3, 7)
    assert torch.equal(own.columns(rows.transpose(1, 2)), states[:, :, 2:8].transpose(1, 2))


def test_the_gradient_is_that_of_an_index() -> None:
    own = Ragged(torch.tensor([3, 1, 2]), 2)

    def there_and_back(states: Tensor) -> Tensor:
        return own.together(own.apart(states).square())

    states = torch.randn(9, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(there_and_back, states)
    assert torch.autograd.gradgradcheck(there_and_back, states)
