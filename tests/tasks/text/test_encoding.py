"""Encoded rows: affixes, answers, padding, and the places of virtual tokens."""

from __future__ import annotations

import torch

from softprompt.tasks.text.encoding import affixes, continuation, pad, with_virtual

from ...shared.models import tokenizer


def test_pieces() -> None:
    assert affixes(tokenizer()) == ((), ())
    assert continuation(tokenizer(), "w10 w11", space=True) == (10, 11)
    ids, mask = pad([[5, 6], [7]], 0)
    assert ids.tolist() == [[5, 6], [7, 0]]
    assert mask is not None
    assert mask.tolist() == [[1, 1], [1, 0]]
    assert pad([[5], [6]], 0)[1] is None
    assert pad([[5, 6], [7]], 0, left=True)[0].tolist() == [[5, 6], [0, 7]]
    assert with_virtual(torch.tensor([[-1, -3, 8]]), torch.tensor([100])).tolist() == [[100, 102, 8]]
