"""Options that are lists are one text on the command line."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import TypeAdapter

from softprompt.methods.parts.lists import split_at

RATES = TypeAdapter(Annotated[tuple[float, ...], split_at(",")])


@pytest.mark.parametrize("given", [(0.25, 0.5), [0.25, 0.5], "0.25,0.5", " 0.25 , 0.5,"])
def test_a_text_is_taken_apart_and_all_else_left(given: object) -> None:
    assert RATES.validate_python(given) == (0.25, 0.5)
    assert RATES.validate_python("") == ()
