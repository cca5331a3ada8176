"""A text in the making: what is shown adds up to the text, and nothing that is shown is taken back."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from softprompt.serving.writing import Wishes, Writing, nucleus


class Letters:
    """A tokenizer of characters and halves of them: id 0 is a half, two of which are an e with an accent."""

    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        text, half = "", False
        for one in ids:
            if one == 0:
                text, half = (text[:-1] + "é", False) if half else (text + "\ufffd", True)
            else:
                text, half = text + chr(one), False
        return text

    def convert_ids_to_tokens(self, token: int) -> str:
        return chr(token)


def write(ids: list[int], *, stop: tuple[str, ...] = (), bare: bool = False, most: int = 99) -> tuple[str, str]:
    """What is shown of a text as it is written, and the text."""
    one = Writing(cast("Any", None), (1,), Wishes(most, stop=stop), cast("Any", Letters()), frozenset([1]), bare=bare)
    shown = ""
    for token in ids:
        if one.ended is None:
            one.take(token)
            shown += one.news()
            assert one.text.startswith(shown) or one.ended is None
    return shown, one.text


def letters(text: str) -> list[int]:
    return [part for letter in text for part in ((0, 0) if letter == "é" else (ord(letter),))]


@pytest.mark.parametrize(("text", "stop", "shown"), [
    ("abcdef", ("cd",), "ab"), ("abccde", ("cd",), "abc"), ("abc", ("cd",), "abc"), ("xaab", ("aab", "xx"), "x"),
])  # fmt: skip
def test_it_ends_before_what_stops_it(text: str, stop: tuple[str, ...], shown: str) -> None:
    assert write([*letters(text), 1], stop=stop) == (shown, shown)


@given(st.text("ab é", max_size=12), st.lists(st.text("ab é", min_size=1, max_size=3), max_size=2), st.booleans())
@settings(max_examples=80, deadline=None)
def test_what_is_shown_is_the_text_up_to_its_end(text: str, stops: list[str], bare: bool) -> None:
    shown, whole = write([*letters(text), 1], stop=tuple(stops), bare=bare)
    seen = text.lstrip() if bare else text
    so_far = (seen[:end] for end in range(len(seen) + 1))
    first = next((part for part in so_far if any(stop in part for stop in stops)), None)  # the first to be complete
    cut = len(seen) if first is None else min(first.find(stop) for stop in stops if stop in first)
    assert shown == whole == (seen[:cut].rstrip() if bare else seen[:cut])


def test_it_ends_after_its_tokens_and_half_a_character_is_not_shown() -> None:
    assert write(letters("abc"), most=2) == ("ab", "ab")
    one = Writing(cast("Any", None), (1,), Wishes(9), cast("Any", Letters()), frozenset([1]))
    told = []
    for token in (97, 0, 0):
        one.take(token)
        told.append(one.news())
    assert told == ["a", "", "é"]


def test_the_nucleus_is_the_least_set_that_reaches_its_share() -> None:
    chances = torch.tensor([0.1, 0.5, 0.15, 0.25])
    assert nucleus(chances, 0.5).tolist() == pytest.approx([0, 0.5, 0, 0])
    assert nucleus(chances, 0.51).tolist() == pytest.approx([0, 0.5, 0, 0.25])
    assert nucleus(chances, 1e-9).tolist() == pytest.approx([0, 0.5, 0, 0])
    assert nucleus(chances, 0.95).tolist() == pytest.approx(chances.tolist())
