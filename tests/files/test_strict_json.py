"""JSON without NaN, infinities or keys that stand twice, written in one place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softprompt.files import strict_json, whole
from softprompt.guards.documents import json_value

values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(values)
@settings(max_examples=40, deadline=None)
def test_json_is_strict(value: Any) -> None:
    text = strict_json.dumps(value)
    assert json.loads(text, parse_constant=lambda constant: pytest.fail(constant)) == strict_json.finite(value)
    assert json_value(text) == strict_json.finite(value)


def test_json_is_written_in_one_place() -> None:
    """But for what ranks tell one another: no file, in which a loss that is no number stays one."""
    source = Path(whole.__file__).parents[1]
    found = {str(path.relative_to(source)) for path in source.rglob("*.py") if "json.dump" in path.read_text()}
    assert {path for path in found if "import json\n" in (source / path).read_text()} == {
        "files/strict_json.py",
        "ranks.py",
    }
