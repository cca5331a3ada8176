"""Encoded rows: affixes, answers, padding, and the places of virtual tokens."""

from __future__ import annotations

import pytest
import torch

from softprompt.errors import SoftPromptError
from softprompt.tasks.rows import Row
from softprompt.tasks.text.encoding import RowEncoder, affixes, continuation, pad, with_virtual
from softprompt.tasks.text.template import Template

from ...shared.models import BOS, tokenizer
from ...shared.tokenizers import byte_level


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


def test_a_text_without_tokens_is_the_one_that_texts_begin_with() -> None:
    template = Template.parse("{prompt}{text}")
    encoder = RowEncoder(template, tokenizer(), 8, 2, False, None)
    assert encoder.encode(Row({"text": ""})).ids == (-1, -2, BOS)
    assert encoder.encode(Row({"text": "w9"})).ids == (-1, -2, 9)
    with pytest.raises(SoftPromptError, match="a row's text has no tokens"):
        RowEncoder(template, byte_level(), 8, 2, False, None).encode(Row({"text": ""}))
