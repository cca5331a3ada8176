"""Tokenizers answer one thread at a time.

A fast tokenizer keeps padding and truncation from one call to the next and sets them anew where they differ: of two
threads that ask for different ones, one gets the other's in silence.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import BatchEncoding, PreTrainedTokenizerBase

_ONE_AT_A_TIME = threading.RLock()


def tokenise(
    tokenizer: PreTrainedTokenizerBase,
    text: str | Sequence[str],
    **options: Any,  # of the tokenizer's own call, which has thirty
) -> BatchEncoding:
    """What a tokenizer gives for some text, whatever other threads ask of it through this function."""
    with _ONE_AT_A_TIME:
        found: BatchEncoding = tokenizer(text, **options)
    return found


def token_ids(tokenizer: PreTrainedTokenizerBase, text: str, *, special: bool = False) -> list[int]:
    """The ids of a text, with special tokens around it or without; it may be longer than the model is."""
    return list(tokenise(tokenizer, text, add_special_tokens=special, verbose=False)["input_ids"])
