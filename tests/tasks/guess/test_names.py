"""What columns are called."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softprompt.tasks.guess.names import field_names, is_id, known, label_rank, text_rank, title_of


def test_a_surer_name_has_the_higher_rank() -> None:
    order = ["label", "category", "airline_sentiment", "status", "sub_status", "color"]
    ranks = [label_rank(name) for name in order]
    assert ranks == sorted(ranks, reverse=True)
    assert ranks[-1] == 0
    assert label_rank("Class Index") == label_rank("classIndex") == label_rank("label")
    assert label_rank("label") > label_rank("label1") > 0
    assert label_rank("is_anything") > label_rank("status")
    assert [text_rank(name) for name in ("text_a", "sentence1", "#1 String", "tweet_text", "text_length", "color")] == [
        3, 3, 3, 2, 1, 0,
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["", " ", "id", "ID", "Unnamed: 0", "tweet_id", "pairID", "Nr", "row number"])
def test_what_numbers_the_rows(name: str) -> None:
    assert is_id(name)
    assert text_rank(name) == 0


def test_what_a_header_says() -> None:
    assert all(map(known, ["label", "Class Index", "text", "Beschreibung", "id", "sentence1".rstrip("1")]))
    assert not any(map(known, ["", "3", "the text of a row of some table", "gj04"]))


NAMES = st.text(max_size=12) | st.sampled_from(
    ["prompt", "mask", "label", "answers", "Text", "Text ", "ü b", "1", "{a}"]
)


@settings(max_examples=50, deadline=None)
@given(st.lists(NAMES, unique=True, max_size=5))
def test_every_column_has_a_field_of_its_own(columns: list[str]) -> None:
    found = field_names(columns)
    assert list(found) == columns
    assert len({*found.values()}) == len(columns)
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) for name in found.values())
    assert not {*found.values()} & {"prompt", "mask", "sep", "choice", "label", "choices", "answers", "group"}
    assert not any("{" in title_of(column) or "}" in title_of(column) for column in columns)


def test_a_name_that_a_template_takes_stays() -> None:
    assert field_names(["message", "Review Text", "評論"]) == {
        "message": "message",
        "Review Text": "review_text",
        "評論": "text",
    }
    assert [title_of(name) for name in ("airline_sentiment", "reviewText", "QUEUE", "Class Index")] == [
        "Airline sentiment", "Review Text", "QUEUE", "Class Index",
    ]  # fmt: skip
