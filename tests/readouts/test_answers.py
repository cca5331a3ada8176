"""An end belongs behind answers of which one begins another, and behind no others."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softprompt.errors import SoftPromptError
from softprompt.readouts.answers import AnswerIds, Ending, beginning, end_token
from softprompt.tasks import Task

from ..shared.models import EOS, tokenizer
from ..shared.tokenizers import byte_level, word_piece

ANSWERS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=4).map(tuple), min_size=1, max_size=6)


@settings(max_examples=200, deadline=None)
@given(ANSWERS)
def test_two_answers_of_which_one_begins_the_other_are_found(answers: list[tuple[int, ...]]) -> None:
    there = {(a, b) for a in answers for b in answers if len(a) < len(b) and b[: len(a)] == a}
    pair = beginning(answers)
    assert (pair is None) == (not there)
    assert pair is None or (answers[pair[0]], answers[pair[1]]) in there
    scored, ended = Ending("auto", 9).behind(answers)
    assert ended == bool(there)
    assert beginning(scored) is None
    assert [ids[: len(one)] for ids, one in zip(scored, answers, strict=True)] == answers


@pytest.mark.parametrize(
    ("when", "answers", "scored"),
    [
        ("auto", [(1,), (1, 2)], [(1, 9), (1, 2, 9)]),
        ("auto", [(1,), (2, 1)], [(1,), (2, 1)]),
        ("auto", [(1,), (1,)], [(1,), (1,)]),
        ("yes", [(1,), (2, 1)], [(1, 9), (2, 1, 9)]),
        ("yes", [(1, 9), (2, 1, 9)], [(1, 9), (2, 1, 9)]),
        ("no", [(1,), (1, 2)], [(1,), (1, 2)]),
    ],
)
def test_where_the_end_stands(when: str, answers: list[tuple[int, ...]], scored: list[tuple[int, ...]]) -> None:
    assert list(Ending(when, 9).behind(answers)[0]) == scored  # type: ignore[arg-type]


def test_without_an_end_token_only_answers_that_need_none_are_compared() -> None:
    assert Ending("auto", None).behind([(1,), (2, 1)]) == (((1,), (2, 1)), False)
    with pytest.raises(SoftPromptError, match="the tokenizer has no end token: set its eos_token, or choose answers"):
        Ending("auto", None).behind([(1,), (1, 2)])
    assert end_token(tokenizer()) == EOS
    assert end_token(byte_level()) is None


@pytest.mark.parametrize("space", [True, False])
def test_words_that_no_answer_could_tell_apart_are_refused(space: bool) -> None:
    for words, told in ((["", "the"], "is empty"), ([" ", "the"], "is empty"), (["the", " the"], "'the' and ' the'")):
        task = Task(template="{text} {mask}", labels=dict(zip("ab", words, strict=True)))
        with pytest.raises(SoftPromptError, match=told):
            AnswerIds(byte_level(), space, seq2seq=False).of_labels(task)
    cased = Task(template="{text} {mask}", labels={"a": "The", "b": "the"})
    assert len(AnswerIds(byte_level(), space, seq2seq=False).of_labels(cased)) == 2
    with pytest.raises(SoftPromptError, match="same tokens"):
        AnswerIds(word_piece(), space, seq2seq=False).of_labels(cased)
