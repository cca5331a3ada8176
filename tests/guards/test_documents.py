"""JSON and YAML within limits give what the libraries give."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from softprompt.errors import OBEYED, SoftPromptError, quoted, shortened, shown
from softprompt.files import strict_json
from softprompt.guards.documents import parse_json, parse_yaml, parse_yaml_texts

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
    assume(not re.search(r"\\ud[89a-f]", text, re.IGNORECASE))  # half a surrogate pair, which libyaml refuses
    assert parse_yaml(text, "it") == yaml.safe_load(text)


@settings(max_examples=60, deadline=None, database=None)
@given(
    st.dictionaries(st.sampled_from(["yes", "1.0", "012", "a"]), st.sampled_from(["on", "null", "1e3", "0x1F", "b"]))
)
def test_a_mapping_of_texts_holds_what_stands_there(texts: dict[str, str]) -> None:
    inner = ", ".join(f"{key}: {value}" for key, value in texts.items())
    found, _ = parse_yaml_texts(f"labels: {{{inner}}}\nother: &a [yes, {{no: 1}}]\nagain: *a\nlast:", "it", ())
    assert found == {"labels": texts, "other": ["yes", {"no": "1"}], "again": ["yes", {"no": "1"}], "last": None}


def test_values_of_typed_keys_and_what_is_quoted_stay() -> None:
    text = "bounds: [0, 1.5]\nnull_too: null\nyes: {'no': off, d: 2020-13-45}\n<<: {from_one: true, no: on}\n"
    found, read = parse_yaml_texts(text, "it", ("bounds", "from_one"))
    expected = {"bounds": [0, 1.5], "null_too": None, "yes": {"no": "off", "d": "2020-13-45"}, "from_one": True}
    assert found == {**expected, "no": "on"}
    assert read == {"off": False, "on": True}


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


@pytest.mark.parametrize("value", ["!!bool maybe", "!!int ''", "!!float ''", "!!timestamp soon", "2024-13-45"])
def test_a_value_that_is_not_of_its_tag_is_one_line(value: str) -> None:
    with pytest.raises(SoftPromptError, match="mine: a value that is none of its kind"):
        parse_yaml(f"key: {value}", "mine")


def test_a_tagged_text_that_is_no_yaml_is_a_text() -> None:
    assert parse_yaml_texts("key: !!int '['", "mine", ())[0] == {"key": "["}


@pytest.mark.parametrize("text", ["a:\n\t- x\n", "\ta: 1", "a:\t- x\n"])
def test_a_tab_that_indents_is_called_one(text: str) -> None:
    with pytest.raises(SoftPromptError, match=r"^it: not proper YAML: .* at line \d.*: a tab stands there"):
        parse_yaml(text, "it")
