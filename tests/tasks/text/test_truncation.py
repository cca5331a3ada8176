"""What is left where a text's end, beginning or middle is left out is its own ends, in whole characters."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softprompt.tasks.text.truncation import Truncated, Truncation

from ...shared.tokenizers import CharacterTokenizer, byte_level, word_piece

SIDES: tuple[Truncation, ...] = get_args(Truncation)
WORDS = "a moving film that is often funny and never dull"
TEXT = st.text(alphabet="ab é😀 ", max_size=30)


@pytest.mark.parametrize(
    ("side", "left"),
    [("end", "a moving film"), ("beginning", "and never dull"), ("middle", "a moving never dull")],
)
def test_each_side_keeps_the_rest(side: Truncation, left: str) -> None:
    words: Any = word_piece()
    whole = Truncated.of(WORDS, words, side)
    assert whole.text == WORDS
    tokens = len(words(WORDS, add_special_tokens=False)["input_ids"])
    kept = len(words(left, add_special_tokens=False)["input_ids"])
    assert whole.without(tokens - kept).text == left


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("make", [byte_level, CharacterTokenizer])
@given(text=TEXT, steps=st.lists(st.integers(1, 4), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_what_is_left_is_the_texts_own_ends(make: Any, side: Truncation, text: str, steps: list[int]) -> None:
    cut = Truncated.of(text, make(), side)
    for tokens in steps:
        before = len(cut.points) - (cut.after - cut.first)
        cut = cut.without(tokens)
        kept = len(cut.points) - (cut.after - cut.first)
        assert kept <= max(before - tokens, 0)
        head, tail = cut.whole[: len(cut.text)], cut.whole[len(cut.whole) - len(cut.text) :]
        if side == "end":
            assert head.startswith(cut.text)
        elif side == "beginning":
            assert tail.endswith(cut.text)
        else:
            halves = {(cut.text[:place].rstrip(), cut.text[place:].lstrip()) for place in range(len(cut.text) + 1)}
            assert any(text.startswith(one) and text.endswith(other) for one, other in halves)


def test_words_on_both_sides_of_a_gap_do_not_grow_together() -> None:
    cut = Truncated.of("one two three four", CharacterTokenizer(), "middle")
    assert cut.without(10).text == "one four"
    assert Truncated.of("语言模型很好", CharacterTokenizer(), "middle").without(2).text == "语言很好"
