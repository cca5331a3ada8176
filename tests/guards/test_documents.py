"""JSON and YAML within limits give what the libraries give."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from softprompt.errors import OBEYED, SoftPromptError, quoted, shortened, shown
from softprompt.files import strict_json
from softprompt.guards.documents import parse_json, parse_yaml

TEXTS = st.text(alphabet=st.characters(), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, database=None)
@given(VALUES)
def test_json_goes_round(value: object) -> None:
    text = strict_json.dumps(value)
    assert parse_json(text, "it") == json.loads(text) == value
    assert parse_json(strict_json.dumps(value, ascii_only=True), "it") == value
    assert set(OBEYED.findall(text)) <= {"\n"}
    text.encode()


@settings(max_examples=40, deadline=None, database=None)
@given(VALUES)
def test_yaml_goes_round(value: object) -> None:
    text = yaml.safe_dump(value)
    assert parse_yaml(text, "it") == yaml.safe_load(text)


def test_aliases_and_merges_that_are_few_are_followed() -> None:
    text = "a: &a {b: 1}\nc: *a\nd: {<<: *a, e: 2}\n"
    assert parse_yaml(text, "it") == {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}}


def test_brackets_in_strings_are_no_levels() -> None:
    value = {"text": '[{"' * 5_000, "other": "\\" * 501}
    assert parse_json(json.dumps(value), "it") == value


@settings(max_examples=60, deadline=None, database=None)
@given(st.text(max_size=20))
def test_what_is_shown_is_one_line(text: str) -> None:
    assert not OBEYED.search(shown(text))
    assert shown(shown(text)) == shown(text)
    assert not OBEYED.search(str(SoftPromptError(text)))


def test_a_message_keeps_its_ends() -> None:
    message = str(SoftPromptError("file.tsv: " + "x" * 100_000 + ": save it again"))
    assert len(message) == 2_000
    assert message.startswith("file.tsv: ")
    assert message.endswith(": save it again")
    assert shortened("short") == "short"


@pytest.mark.parametrize("make", [lambda: "a" * 10_000, lambda: 10**5000, lambda: b"\0" * 10_000, lambda: ["x"] * 999])
def test_quoted_values_are_short(make: Callable[[], object]) -> None:
    assert len(quoted(make())) <= 200
