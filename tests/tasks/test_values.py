"""Labels are compared as text, however a file writes them."""

from __future__ import annotations

import datetime
import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softprompt.errors import SoftPromptError
from softprompt.tasks.values import find_label, label_text, listed, plain


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


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.float32(0.1), 0.1),
        (float("nan"), None),
        (np.float64("nan"), None),
        (pd.NA, None),
        (pd.NaT, None),
        (np.datetime64("NaT"), None),
        (Decimal("1.50"), "1.50"),
        (Decimal("nan"), None),
        (datetime.date(2024, 1, 2), "2024-01-02"),
        (pd.Timestamp("2024-01-02"), "2024-01-02"),
        (pd.Timestamp("2024-01-02 03:04"), "2024-01-02 03:04:00"),
        (np.datetime64("2024-01-02", "ns"), "2024-01-02"),
        (np.array([1, 2]), [1, 2]),
        ({"text": np.array(["a"], dtype=object), "at": [np.int32(3)]}, {"text": ["a"], "at": [3]}),
        (np.array([{"text": np.array([])}]), [{"text": []}]),
        ("012", "012"),
    ],
)
def test_a_cell_in_plain_kinds(value: object, expected: object) -> None:
    found = plain(value)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("value", "labels", "expected"),
    [
        ("True", {"true"}, "true"),
        (True, {"1", "0"}, "1"),
        ("TRUE", {"True", "true"}, None),  # which of them cannot be known
        ("true", {"True", "true"}, "true"),
        (12, {"012", "7"}, "012"),
        ("12", {"012", "12"}, "12"),
        ("1.0", {"1"}, "1"),
        ("1e0", {"1"}, "1"),
        ("+.50", {"0.5"}, "0.5"),
        ("1.", {"1", "1.0"}, None),
        (True, {"yes", "no"}, "yes"),
        ("False", {"on", "off"}, "off"),
        ("yes", {"true", "false"}, None),
        (1, {"yes", "no"}, None),
        ("Yes", {"yes"}, None),
        ("1_000", {"1000"}, None),
        ("１", {"1"}, None),
        ("nan", {"0"}, None),
        ("2024-01-02T00:00:00.000", {"2024-01-02"}, "2024-01-02"),
        (12345678901234567890, {"12345678901234567891"}, None),
        ("9" * 100, {"1"}, None),
    ],
)
def test_the_label_that_a_value_is(value: object, labels: set[str], expected: str | None) -> None:
    assert find_label(value, sorted(labels)) == expected


def test_a_label_and_its_alias_are_no_two_labels() -> None:
    assert find_label("TRUE", {"true": "Yes"}, {"1": "true", "True": "true"}) == "true"


@settings(max_examples=60, deadline=None, database=None)
@given(st.integers() | st.floats(-1e15, 1e15) | st.booleans() | st.text(max_size=8))
def test_a_value_is_found_however_it_is_written(value: object) -> None:
    labels = [label_text(value), "another label"]
    for written in (value, label_text(value), str(value), json.loads(json.dumps(value))):
        assert find_label(written, labels) == labels[0]
