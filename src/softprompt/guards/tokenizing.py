"""Tokenizers answer one thread at a time.

A fast tokenizer keeps padding and truncation from one call to the next and sets them anew where they differ: of two
threads that ask for different ones, one gets the other's in silence.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from softprompt.errors import SoftPromptError, quoted

if TYPE_CHECKING:
    from transformers import BatchEncoding, PreTrainedTokenizerBase

_ONE_AT_A_TIME = threading.RLock()


def tokenise(
    tokenizer: PreTrainedTokenizerBase,
    text: str | Sequence[str],
    **options: Any,  # of the tokenizer's own call, which has thirty
) -> BatchEncoding:
    """What a tokenizer gives for some text, whatever other threads ask of it through this function.

    Raises:
        SoftPromptError: there is none, or it fails at the text.
    """
    given: object = tokenizer  # of a `Backbone` without one
    if given is None:
        raise SoftPromptError("texts are read by a tokenizer, and there is none: give the backbone's beside the model")
    with _ONE_AT_A_TIME:
        try:
            found: BatchEncoding = tokenizer(text, **options)
        except Exception as error:
            if type(error) is not Exception:  # what `tokenizers` raises, as of words that a vocabulary has no token for
                raise
            raise SoftPromptError(f"the tokenizer fails at {quoted(text, 60)}: {error}") from None
    return found


def token_ids(tokenizer: PreTrainedTokenizerBase, text: str, *, special: bool = False) -> list[int]:
    """The ids of a text, with special tokens around it or without; it may be longer than the model is."""
    return list(tokenise(tokenizer, text, add_special_tokens=special, verbose=False)["input_ids"])
