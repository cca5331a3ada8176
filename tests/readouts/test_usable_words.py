"""Label words that nobody chose: whether a language model's answer can be read off them."""

from __future__ import annotations

import pytest

from softprompt.readouts.usable_words import why_no_words
from softprompt.tasks import Task

from ..shared.tokenizers import byte_level, word_piece


def why(words: list[str], *, mask: bool = False) -> str | None:
    labels = {str(number): word for number, word in enumerate(words)}
    task = Task(template="{text} It was {mask}", labels=labels)
    return why_no_words(task, word_piece() if mask else byte_level(), mask=mask)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["terrible", "great"], None),
        (["T-1", "T-2"], "labels such as 'T-1' are no words"),
        (["team 1001", "other"], "labels such as 'team 1001' are no words"),
        (["1", "2"], "labels such as '1' are no words"),
        (["great", "great story"], "'great' and 'great story' begin with the same token"),
        ([f"{chr(97 + n % 26)}{chr(98 + n // 26)}qx" for n in range(30)], "30 label words of several tokens"),
    ],
)
def test_reasons(words: list[str], reason: str | None) -> None:
    found = why(words)
    assert found == reason if reason is None else reason in str(found)


def test_a_mask_takes_one_token() -> None:
    assert why(["terrible", "great"], mask=True) is None
    assert "is several tokens, each of which would take a mask" in str(why(["great film", "dull"], mask=True))


def test_numbers_and_free_text() -> None:
    number = Task(kind="regression", template="{text} {mask}", bounds=(0, 5))
    assert why_no_words(number, byte_level(), mask=False) == "a number has no label words"
    free = Task(kind="generation", template="{text} {mask}")
    assert why_no_words(free, byte_level(), mask=False) is None
