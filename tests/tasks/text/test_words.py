"""Words and the columns at which they are read: every tokenizer, every cut, and templates around them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softprompt.errors import SoftPromptError
from softprompt.tasks import Row
from softprompt.tasks.text.template import Template
from softprompt.tasks.text.words import WordsEncoder

from ...shared.tokenizers import CharacterTokenizer, byte_level, word_piece

TOKENIZERS = {"byte-level": byte_level, "word pieces": word_piece}
words = st.lists(st.text("abEü漢🎈,.", min_size=1, max_size=5), min_size=1, max_size=6)


def row_of(*words: str) -> Row:
    return Row({"text": " ".join(words)}, words=words)


def encoder(tokenizer: Any, template: str = "{text}", limit: int = 500, **options: Any) -> WordsEncoder:
    virtual = options.pop("virtual", 0)
    return WordsEncoder(Template.parse(template), tokenizer, limit, virtual, True, None, read="text", **options)


@pytest.mark.parametrize("name", TOKENIZERS)
@given(words=words)
@settings(deadline=None, max_examples=40)
def test_a_column_is_a_token_of_its_word(name: str, words: list[str]) -> None:
    tokenizer = TOKENIZERS[name]()
    plain = tokenizer(" ".join(words), add_special_tokens=True, return_offsets_mapping=True)
    starts = [sum(len(word) + 1 for word in words[:place]) for place in range(len(words))]
    for last in (False, True):
        found = encoder(tokenizer, last=last).encode(row_of(*words))
        assert list(found.ids) == plain["input_ids"]  # as any text is tokenised
        for word, start, column in zip(words, starts, found.words, strict=True):
            mine = [
                place
                for place, (begin, end) in enumerate(plain["offset_mapping"])
                if begin < start + len(word) and end > start and begin != end
            ]
            assert column == (mine[-1 if last else 0] if mine else -1)


def test_what_a_tokenizer_makes_nothing_of_has_no_column() -> None:
    found = encoder(word_piece()).encode(row_of("a", "\u200b", "town"))
    assert [column < 0 for column in found.words] == [False, True, False]
    assert not found.truncated


@pytest.mark.parametrize(
    ("side", "kept"), [("end", {0, 1, 2}), ("beginning", {7, 8, 9}), ("middle", {0, 1, 9})], ids=str
)
def test_a_cut_takes_tokens_of_words_alone(side: Any, kept: set[int]) -> None:
    row = row_of(*["town"] * 10)
    whole = encoder(word_piece(), "a {text} film").encode(row)
    few = encoder(word_piece(), "a {text} film", len(whole.ids) - 7, truncation=side).encode(row)
    assert len(few.ids) == len(whole.ids) - 7
    assert (few.ids[0], few.ids[-1]) == (whole.ids[0], whole.ids[-1])
    assert {place for place, column in enumerate(few.words) if column >= 0} == kept
    assert [few.ids[column] for column in few.words if column >= 0] == [whole.ids[whole.words[0]]] * 3
    assert few.lost == {"text": pytest.approx(0.7, abs=0.05)}


def test_a_word_that_is_cut_in_two_is_read_where_its_token_stands() -> None:
    row = row_of("a", "journeyjourney")
    tokens = len(encoder(byte_level()).encode(row).ids)
    cut = {last: encoder(byte_level(), limit=tokens - 1, last=last).encode(row) for last in (False, True)}
    assert [column >= 0 for column in cut[False].words] == [True, True]
    assert [column >= 0 for column in cut[True].words] == [True, False]


def test_virtual_tokens_stand_where_the_template_has_them() -> None:
    found = encoder(word_piece(), "{prompt:2}{text}{sep}{prompt:1}", virtual=3).encode(row_of("a", "town"))
    plain = encoder(word_piece()).encode(row_of("a", "town"))
    separator = word_piece().sep_token_id
    assert found.ids == (-1, -2, *plain.ids, separator, -3)
    assert found.words == tuple(column + 2 for column in plain.words)


def test_what_cannot_be() -> None:
    with pytest.raises(SoftPromptError, match="fast tokenizer"):
        encoder(CharacterTokenizer()).encode(row_of("a"))
    with pytest.raises(SoftPromptError, match="tokens without {text}, and 1 fit"):
        encoder(word_piece(), "a funny {text} film", 1).encode(row_of("a"))
