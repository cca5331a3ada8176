"""Values that are typed with their names."""

from __future__ import annotations

import pytest

from softprompt.errors import SoftPromptError
from softprompt.guards.pairs import by_name


def test_a_value_may_be_empty_and_have_an_equals_sign() -> None:
    assert by_name(["a=1", "b=", "c=x=y"], "--field", "name=text") == {"a": "1", "b": "", "c": "x=y"}
    assert by_name([], "--field", "name=text") == {}


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        (["a=1", "b"], "--field 'b' has no '=': write --field name=text"),
        (["a=1", "a=1"], "--field 'a' is given twice: leave one of them out"),
    ],
)
def test_faults_of_a_pair(pairs: list[str], told: str) -> None:
    with pytest.raises(SoftPromptError) as error:
        by_name(pairs, "--field", "name=text")
    assert str(error.value) == told
