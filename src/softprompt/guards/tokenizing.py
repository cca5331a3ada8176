"""Tokenizers answer one thread at a time.

A fast tokenizer keeps padding and truncation from one call to the next and sets them anew where they differ: of two
threads that ask for different ones, one gets the other's in silence.
"""

from __future__ import annotations

import threading
from typing import Any

_ONE_AT_A_TIME = threading.RLock()


def tokenise(tokenizer: Any, *args: Any, **kwargs: Any) -> Any:
    """What a tokenizer gives for some text, whatever other threads ask of it through this function."""
    with _ONE_AT_A_TIME:
        return tokenizer(*args, **kwargs)
