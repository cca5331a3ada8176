"""Token ids as words that stand in a text, and the words that a vocabulary has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from unicodedata import category
from weakref import WeakKeyDictionary

from softprompt.guards.tokenizing import token_ids, tokenise

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_FOUND: WeakKeyDictionary[PreTrainedTokenizerBase, tuple[tuple[int, int, int], tuple[int, ...]]] = WeakKeyDictionary()


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


def frequent_words(tokenizer: PreTrainedTokenizerBase, size: int, most: int) -> tuple[int, ...]:
    """The first `most` of the pieces below `size` that are words or beginnings of words of a text, by their ids.

    Ids go by frequency, or by the order of merges, in the vocabularies of T5 (SentencePiece's unigrams), BERT
    (WordPiece), GPT-2 and Gemma (byte pairs), behind what is no word: special, unused, byte, control and tag pieces,
    white space, punctuation, parts of characters, and in BERT's the characters by their code. Inner pieces of words are
    left out, and so are single characters, but for a vocabulary that is made of words of one, as Chinese ones are. A
    vocabulary with none of these gives what `readable` says, and one of bytes whatever is not special.
    """
    known = _FOUND.get(tokenizer)
    state = (len(tokenizer), size, most)
    if known is None or known[0] != state:
        known = _FOUND[tokenizer] = (state, _words(tokenizer, size, most))
    return known[1]


def _words(tokenizer: PreTrainedTokenizerBase, size: int, most: int) -> tuple[int, ...]:
    before = token_ids(tokenizer, "the the")[-1:]
    start = _text(before, tokenizer)
    words, single = list[int](), list[int]()
    for token in range(min(size, len(tokenizer))):
        word = word_of(token, tokenizer)
        of_letters = word.isalnum() and any(map(str.isalpha, word))
        if not of_letters or not readable(token, tokenizer) or _text([*before, token], tokenizer) != f"{start} {word}":
            continue
        if len(word) > 1:
            words.append(token)
        elif category(word) == "Lo":  # of a script without capitals
            single.append(token)
        if most in (len(words), len(single)):
            break
    if len(single) > len(words):
        words = sorted(words + single)[:most]
    return tuple(words) or _others(tokenizer, size, most)


def _others(tokenizer: PreTrainedTokenizerBase, size: int, most: int) -> tuple[int, ...]:
    special = set(tokenizer.all_special_ids)
    ids = [token for token in range(min(size, len(tokenizer))) if token not in special]
    return tuple([token for token in ids if readable(token, tokenizer)][:most] or ids[:most])


def _text(ids: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> str:
    return str(tokenizer.decode(list(ids), clean_up_tokenization_spaces=False)).strip()
