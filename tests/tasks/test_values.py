"""Labels are compared as text, however a file writes them."""

from __future__ import annotations

import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks.values import label_text, listed


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (1, "1"),
        (1.0, "1"),
        (-0.0, "0"),
        (0.5, "0.5"),
        (" yes\n", "yes"),
        (None, "None"),
    ],
)
def test_a_label_as_text(value: object, text: str) -> None:
    assert label_text(value) == text


def test_a_number_of_too_many_digits_is_one_line() -> None:
    with pytest.raises(SoftPromptError, match="fewer digits") as error:
        label_text(10**5000)
    assert "\n" not in str(error.value)


def test_names_of_a_message() -> None:
    assert listed(["a"]) == "'a'"
    assert listed(["a", "b"]) == "'a' or 'b'"
    assert listed(["a", "b", 3]) == "'a', 'b', 3"
