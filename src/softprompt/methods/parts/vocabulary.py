"""Token ids as words that stand in a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from softprompt.guards.tokenizing import tokenise

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def word_of(token: int, tokenizer: PreTrainedTokenizerBase) -> str:
    """The token's text without the space that may stand before it."""
    return str(tokenizer.decode([token], clean_up_tokenization_spaces=False)).strip()


def readable(token: int, tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a token is printable text of its own: no control character, no part of a character, nothing special."""
    if token in tokenizer.all_special_ids:
        return False
    word = word_of(token, tokenizer)
    return bool(word) and word.isprintable() and "\ufffd" not in word


def is_text(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the ids' text tokenises to these ids again."""
    text = tokenizer.decode(list(ids), clean_up_tokenization_spaces=False)
    return list(tokenise(tokenizer, text, add_special_tokens=False)["input_ids"]) == list(ids)
