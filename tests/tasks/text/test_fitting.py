from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softprompt.errors import SoftPromptError
from softprompt.tasks.text.fitting import fit_text
from softprompt.tasks.text.template import Mask, PromptSlot, Template
from softprompt.tasks.text.truncation import Truncation

from ...shared.tokenizers import CORPUS, CharacterTokenizer, byte_level, word_piece

TOKENIZERS = {"byte_level": byte_level, "word_piece": word_piece, "characters": CharacterTokenizer}
VOCABULARY = [*" ".join(CORPUS[:4]).split(), "é", "\U0001f600", "{"]
words = st.lists(st.sampled_from(VOCABULARY), max_size=40).map(" ".join)
PAIR = Template.parse("{prompt:2}{premise} so {prompt:3}{hypothesis}, right? {mask}.")


def ids(pieces: tuple[Any, ...]) -> list[int]:
    return [piece for piece in pieces if isinstance(piece, int)]


@pytest.fixture(params=TOKENIZERS)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return TOKENIZERS[request.param]()


@pytest.mark.parametrize("name", TOKENIZERS)
@given(text=words)
@settings(max_examples=30, deadline=None)
def test_a_template_without_places_tokenises_like_the_plain_string(name: str, text: str) -> None:
    tokenizer: Any = TOKENIZERS[name]()
    template = Template.parse("Review: {text}\nIt was")
    fitted = fit_text(template, {"text": text}, tokenizer, 10_000)
    plain = tokenizer(f"Review: {text}\nIt was", add_special_tokens=False, verbose=False)["input_ids"]
    assert list(fitted.pieces) == plain
    assert not fitted.truncated


@pytest.mark.parametrize("name", TOKENIZERS)
@given(premise=words, hypothesis=words, room=st.integers(0, 60))
@settings(max_examples=40, deadline=None)
def test_what_is_cut_fits_and_is_a_field(name: str, premise: str, hypothesis: str, room: int) -> None:
    tokenizer: Any = TOKENIZERS[name]()
    empty = fit_text(PAIR, {"premise": "", "hypothesis": ""}, tokenizer, 10_000)
    whole = fit_text(PAIR, {"premise": premise, "hypothesis": hypothesis}, tokenizer, 10_000)
    budget = len(ids(empty.pieces)) + room
    fitted = fit_text(PAIR, {"premise": premise, "hypothesis": hypothesis}, tokenizer, budget)
    assert len(ids(fitted.pieces)) <= budget
    assert fitted.truncated == (len(ids(whole.pieces)) > budget)
    kept = [piece for piece in fitted.pieces if not isinstance(piece, int)]
    assert kept == [PromptSlot(2), PromptSlot(3), Mask(space=True)]
    after = fitted.pieces[[isinstance(piece, Mask) for piece in fitted.pieces].index(True) + 1 :]
    assert list(after) == tokenizer(".", add_special_tokens=False, verbose=False)["input_ids"]


def test_no_more_is_cut_than_needed(tokenizer: Any) -> None:
    template = Template.parse("{text} It was {mask}")
    text = " ".join(CORPUS)
    whole = len(ids(fit_text(template, {"text": text}, tokenizer, 100_000).pieces))
    for budget in range(20, whole, 37):
        assert len(ids(fit_text(template, {"text": text}, tokenizer, budget).pieces)) >= budget - 3


def test_only_the_longest_field_is_cut(tokenizer: Any) -> None:
    template = Template.parse("{premise} so {hypothesis}? {mask}")
    row = {"premise": " ".join(CORPUS), "hypothesis": "it was great"}
    whole = len(ids(fit_text(template, row, tokenizer, 100_000).pieces))
    fitted = fit_text(template, row, tokenizer, whole - 20)
    tail = len(tokenizer(" great?", add_special_tokens=False, verbose=False)["input_ids"]) + 2
    uncut = ids(fit_text(template, row, tokenizer, 100_000).pieces)
    assert fitted.truncated
    assert ids(fitted.pieces)[-tail:] == uncut[-tail:]


def test_fields_of_like_length_are_cut_alike() -> None:
    template = Template.parse("{a}|{b}")
    fitted = fit_text(template, {"a": "x" * 50, "b": "y" * 49}, CharacterTokenizer(), 41)
    text = "".join(map(chr, ids(fitted.pieces)))
    assert text == "x" * 20 + "|" + "y" * 20


def test_the_choice_is_never_cut_and_its_place_is_known(tokenizer: Any) -> None:
    template = Template.parse("{premise} so {choice} then")
    choice = "the family never gives up"
    fitted = fit_text(template, {"premise": " ".join(CORPUS)}, tokenizer, 60, choice)
    alone = fit_text(template, {"premise": ""}, tokenizer, 1000, choice)
    assert fitted.truncated
    assert fitted.choice is not None
    assert alone.choice is not None
    assert fitted.pieces[fitted.choice :] == alone.pieces[alone.choice :]
    decoded = ids(fitted.pieces)[fitted.choice :]
    text = tokenizer.decode(decoded) if hasattr(tokenizer, "decode") else "".join(map(chr, decoded))
    assert text.strip().startswith("the family")


def test_the_separator_is_the_tokenizers_or_a_newline() -> None:
    template = Template.parse("{a}{sep}{b}")
    bert: Any = word_piece()
    assert bert.sep_token_id in fit_text(template, {"a": "x", "b": "y"}, bert, 99).pieces
    gpt: Any = byte_level()
    assert list(fit_text(template, {"a": "x", "b": "y"}, gpt, 99).pieces) == gpt("x\ny")["input_ids"]


def test_a_template_that_cannot_fit_is_told(tokenizer: Any) -> None:
    with pytest.raises(SoftPromptError, match=r"and 2 fit; shorten the template"):
        fit_text(Template.parse("one two three four {text}"), {"text": "long " * 50}, tokenizer, 2)


@pytest.mark.parametrize("text", ["😀" * 100, "语言模型" * 40, "é" * 90 + " film"])
def test_characters_of_several_tokens_are_cut_no_further_than_need_be(text: str) -> None:
    fitted = fit_text(Template.parse("{text}"), {"text": text}, byte_level(), 50)
    assert fitted.truncated
    assert 50 - 4 <= len(fitted.pieces) <= 50  # a character of this tokenizer is four tokens at most


@pytest.mark.parametrize(("side", "left"), [("beginning", "y" * 20), ("middle", "x" * 10 + "y" * 10)])
def test_another_part_of_a_field_can_be_left_out(side: Truncation, left: str) -> None:
    fields = {"a": "x" * 25 + "y" * 25, "b": "z" * 5}
    fitted = fit_text(Template.parse("{a}|{b}"), fields, CharacterTokenizer(), 26, truncation=side)
    assert "".join(map(chr, ids(fitted.pieces))) == f"{left}|zzzzz"
    assert fitted.lost == {"a": pytest.approx(0.6)}


def test_each_field_tells_what_it_lost() -> None:
    fields = {"a": "x" * 40, "b": "y" * 80, "c": "z"}
    assert fit_text(Template.parse("{a}|{b}|{c}"), fields, CharacterTokenizer(), 43).lost == {
        "a": pytest.approx(0.5),
        "b": pytest.approx(0.75),
    }
    assert fit_text(Template.parse("{a}|{b}|{c}"), fields, CharacterTokenizer(), 123).lost == {}


@pytest.mark.parametrize("side", ["end", "beginning", "middle"])
@pytest.mark.parametrize("make", [byte_level, word_piece])
@pytest.mark.parametrize(
    "text",
    ["a moving film , ", "terrible and often funny ", "the😀 family of ", " \n\t", "x"],
    ids=lambda text: text[:5],
)
def test_the_ends_of_a_long_text_that_may_stay_stand_for_it(
    make: Callable[[], Any], text: str, side: Truncation, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = {"a": text * (12_000 // len(text)), "b": "a charming journey " * 30}
    template = Template.parse("{a} It was {mask} {b}")
    whole = fit_text(template, fields, make(), 60, truncation=side)
    monkeypatch.setattr("softprompt.tasks.text.fitting._LONG", 4_000)
    assert fit_text(template, fields, make(), 60, truncation=side) == whole
