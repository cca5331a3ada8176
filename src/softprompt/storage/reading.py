"""How a tokenizer reads: a prompt answers otherwise behind another, and no size shows that it is another."""

from __future__ import annotations

import logging
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from softprompt.files.places import META
from softprompt.guards.tokenizing import token_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from softprompt.storage.record import PromptRecord

_LOG = logging.getLogger(__name__)
# Letters of either case, digits, marks, spaces, accents and another script: what tokenizers treat differently.
_PROBE = "A moving film, isn't it?  3.50 of 10:\n\tÜBER all, naïve — 電影 was GREAT."
_TOKENS = range(0, 4096, 31)  # ids that are looked at as well: words of the vocabulary that the text does not have


def reading_of(tokenizer: PreTrainedTokenizerBase | None) -> str | None:
    """A digest of the ids that a tokenizer reads in a text, its special tokens' among them, and of some of its tokens.

    Tokens that a user adds to it change nothing. None where it reads no such text.
    """
    if tokenizer is None:
        return None
    try:
        ids = token_ids(tokenizer, _PROBE, special=True)
        known = tokenizer.convert_ids_to_tokens([one for one in _TOKENS if one < tokenizer.vocab_size])
        return sha256(repr((ids, known)).encode()).hexdigest()[:16]
    except Exception:  # a tokenizer of the user's own may raise anything at words that it was not made for
        return None


def warn_of_another(record: PromptRecord, tokenizer: PreTrainedTokenizerBase | None, path: Path) -> None:
    """Say it where a tokenizer reads otherwise than the prompt's own did; not known of prompts of earlier versions."""
    own = record.tokenizer and reading_of(tokenizer)
    if own and own != record.tokenizer:
        whose = f"the one of {record.backbone_name}" if record.backbone_name else "the one that it was trained with"
        _LOG.warning(
            "%s: this tokenizer reads texts otherwise than the prompt's own did, so answers are others: give %s",
            path / META,
            whose,
        )
