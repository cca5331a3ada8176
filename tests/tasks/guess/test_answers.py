"""What a column of answers makes of a task."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks.guess.answers import answer_keys, words_for
from softprompt.tasks.guess.profile import Profile


def keys(values: Iterable[object], name: str = "label", *, asked: bool = False, others: Iterable[object] = ()) -> Any:
    column, other = Profile(name), Profile(name)
    for value in values:
        column.see(value)
    for value in others:
        other.see(value)
    return answer_keys(column, [other], asked=asked, origin="t.csv")


def test_classes_stand_in_an_order_of_their_own() -> None:
    """Not in that of the rows: the same rows shuffled are the same task."""
    assert list(keys(["b", "a", "10", "9", "b", "a"])["labels"]) == ["9", "10", "a", "b"]
    assert keys(["b", "a"] * 3) == keys(["a", "b"] * 3)
    assert list(keys(["a", "b"] * 3, others=["c"])["labels"]) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["0", "1"], ["no", "yes"]),
        (["false", "true"], ["no", "yes"]),
        (["False", "True"], ["no", "yes"]),
        (["-1", "0", "1"], ["negative", "neutral", "positive"]),
        (["1", "2", "3", "4", "5"], ["one", "two", "three", "four", "five"]),
        (["card_lost", "top up__failed"], ["card lost", "top up failed"]),
        (["a_b", "a b"], ["a_b", "a b"]),
        (["T-1", "T-2"], ["T-1", "T-2"]),
        (["_", "x"], ["_", "x"]),
    ],
)
def test_words(values: list[str], words: list[str]) -> None:
    assert words_for(values) == dict(zip(values, words, strict=True))


def test_numbers_are_classes_where_they_are_few_or_count_them() -> None:
    assert len(keys([*range(1, 6)] * 4, "rating")["labels"]) == 5
    assert len(keys([*range(77)] * 4, "label")["labels"]) == 77
    found = keys([*range(18, 90)] * 4, "score", asked=True)
    assert (found["kind"], found["bounds"]) == ("regression", (18, 89))
    found = keys([0.5, 1.25, 5.0] * 3, "score", others=[9])
    assert (found["kind"], found["bounds"], found["metrics"]) == ("regression", (0.5, 9), ("pearson",))


def test_free_text_is_made_only_where_it_is_asked_for() -> None:
    answers = [f"the answer to question {row}" for row in range(20)]
    assert keys(answers, "answer", asked=True)["kind"] == "generation"
    assert keys([["a"], ["b"]], "answers", asked=True)["kind"] == "generation"
    assert "labels" in keys(["a", "b"] * 20, "answer", asked=True)


def test_one_value_is_no_label() -> None:
    for values, message in (
        (["x"] * 5, "one value alone, 'x'"),
        ([1.5] * 5, "one value alone, 1.5"),
        ([], "no values"),
    ):
        with pytest.raises(SoftPromptError, match=message):
            keys(values, asked=True)
