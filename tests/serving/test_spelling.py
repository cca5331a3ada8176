"""A text that grows by tokens is the text of all its tokens, shown piece by piece, and no token is read for ever."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from softprompt.serving.spelling import Spelling
from softprompt.serving.writing import Wishes, Writing

from ..shared import tokenizers as made
from ..shared.models import tokenizer as word_level

KINDS = {
    "byte-level": made.byte_level,
    "byte fallback": made.byte_fallback,
    "unigram": made.unigram,
    "word piece": made.word_piece,
    "word piece, cleaned": lambda: made.cleaned_word_piece(tidy=False),
    "word piece, tidied": lambda: made.cleaned_word_piece(tidy=True),
    "words": word_level,
}
LONG = 300


class Counting:
    """A tokenizer that counts the ids that it decodes."""

    def __init__(self, own: PreTrainedTokenizerBase) -> None:
        self.own, self.read = own, 0

    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        self.read += len(ids)
        return str(self.own.decode(ids, skip_special_tokens=skip_special_tokens))

    def convert_ids_to_tokens(self, token: int) -> str:
        return str(self.own.convert_ids_to_tokens(token))

    @property
    def clean_up_tokenization_spaces(self) -> bool:
        return bool(self.own.clean_up_tokenization_spaces)


class Stripped(Counting):
    """One that is written in Python: what it gives has no space around it, and no half of a character."""

    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        return super().decode(ids, skip_special_tokens).replace("\ufffd", "").strip()


def pieces(own: Any, ids: list[int], *, bare: bool = False) -> tuple[list[str], str]:
    """What is shown as a text is written, and the text."""
    one = Writing(cast("Any", None), (1,), Wishes(len(ids)), own, frozenset(), bare=bare)
    shown = []
    for token in ids:
        one.take(token)
        shown.append(one.news())
    return shown, one.text


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=120, deadline=None)
def test_whatever_tokens_come_the_pieces_are_the_text_of_all(kind: str, data: st.DataObject) -> None:
    own = KINDS[kind]()
    ids = data.draw(st.lists(st.integers(0, len(own) - 1), min_size=1, max_size=24))
    expected = own.decode(ids, skip_special_tokens=True)
    shown, text = pieces(own, ids)
    assert "".join(shown) == text == expected
    shown, text = pieces(own, ids, bare=True)
    assert "".join(shown) == text == expected.strip()


@pytest.mark.parametrize("kind", ["byte-level", "byte fallback"])
@given(text=st.text(min_size=1, max_size=12), wrapped=st.booleans())
@example(text="a 👩‍👩‍👧 é €€ \n\n b", wrapped=False)
@example(text="0 \xa0", wrapped=True)
@settings(max_examples=120, deadline=None)
def test_whatever_text_is_written_comes_out_of_its_bytes(kind: str, text: str, wrapped: bool) -> None:
    own = KINDS[kind]()
    ids = own.encode(text, add_special_tokens=False)
    expected = own.decode(ids, skip_special_tokens=True)
    seen = Stripped(own) if wrapped else own
    shown, whole = pieces(seen, ids)
    assert "".join(shown) == whole == (expected.replace("\ufffd", "").strip() if wrapped else expected)


@pytest.mark.parametrize("kind", KINDS)
def test_no_token_is_decoded_more_than_a_few_times(kind: str) -> None:
    own = Counting(KINDS[kind]())
    words = "a film do . 🎬 é" if "word" not in kind else "a film do . a"
    few = own.own.encode(words, add_special_tokens=False)
    if kind == "words":
        few = own.own.encode("w20 w30", add_special_tokens=False)
    ids = (few * LONG)[:LONG]
    shown, text = pieces(own, ids)
    assert "".join(shown) == text == own.own.decode(ids, skip_special_tokens=True) != ""
    assert own.read < 20 * LONG  # decoding all of it at each token is LONG ** 2 / 2
    assert max(map(len, shown)) < 30


def test_what_marks_something_and_says_nothing_is_not_kept_to_be_decoded_again() -> None:
    own = Counting(made.byte_fallback())
    ids = [*own.own.encode("a film"), *[1] * LONG, *own.own.encode("s")]
    spelling = Spelling(cast("Any", own))
    for one in ids:
        spelling.add(one)
    assert spelling.text == spelling.whole() == own.own.decode(ids, skip_special_tokens=True)
    assert own.read < 20 * LONG


def test_what_a_later_token_changes_is_not_shown_before_it() -> None:
    own = made.cleaned_word_piece(tidy=True)
    ids = own.convert_tokens_to_ids(["do", "n", "'", "t", "a", "."])
    shown, text = pieces(own, ids)
    assert (shown, text) == (["do", "", "", "n't", " a", "."], "don't a.")


def test_a_tokenizer_of_another_make_is_decoded_as_a_whole() -> None:
    class Reversed(Counting):
        def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
            return super().decode(ids[::-1], skip_special_tokens)

    own = Reversed(word_level())
    _, text = pieces(own, [20, 21, 22])
    assert text == own.decode([20, 21, 22], skip_special_tokens=True)
