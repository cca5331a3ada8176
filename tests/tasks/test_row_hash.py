"""What makes two rows the same text, and how two sets of rows differ."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from softprompt.tasks import Row
from softprompt.tasks.row_hash import RowsHash, fields_read, row_text, text_hash


def rows(count: int) -> list[Row]:
    return [Row({"text": f"row {number}"}, number % 2, index=number) for number in range(count)]


def test_what_a_model_reads_makes_a_row() -> None:
    one = Row({"a": "a good\tfilm ", "b": "caf\u00e9", "id": "1"}, 0)
    other = Row({"b": " a  good film", "a": "cafe\u0301", "id": "2"}, 1, index=9)
    assert text_hash(one, ("a", "b")) == text_hash(other, ("b", "a"))
    assert text_hash(one, ("a", "b", "id")) != text_hash(other, ("a", "b", "id"))
    assert text_hash(one, ("a",)) != text_hash(one, ("b",))
    choice = Row({"a": "why"}, 0, ("so", "thus"))
    assert text_hash(choice, ("a",)) == text_hash(replace(choice, choices=("thus", " so"), label=1), ("a",))
    assert text_hash(choice, ("a",)) != text_hash(Row({"a": "why"}, 0), ("a",))


PAIR = st.tuples(*[st.text("ab \t\u00a0\x1e", max_size=4)] * 2)


@given(PAIR, PAIR)
@settings(max_examples=60, deadline=None)
def test_other_words_are_another_text(one: tuple[str, str], other: tuple[str, str]) -> None:
    same = sorted(" ".join(x.split()) for x in one) == sorted(" ".join(x.split()) for x in other)
    texts = [row_text(Row({"a": first, "b": second}), ("a", "b")) for first, second in (one, other)]
    assert (texts[0] == texts[1]) == same


def test_fields_that_templates_read() -> None:
    assert fields_read(["{b:lower} {mask}", "{a} {sep} {b} {choice}"]) == ("b", "a")


@pytest.mark.parametrize("count", [7, 600])
def test_a_difference_is_named(count: int) -> None:
    own = rows(count)
    kept = RowsHash.of(own)
    assert kept.difference(RowsHash(**kept.model_dump(mode="json"))) is None
    assert kept.difference(RowsHash.of(own[:-1])) == f"{count} rows then, {count - 1} now"
    where = "row 4" if count == 7 else "one of rows 4 to 6"
    flipped = [*own[:3], replace(own[3], label=1 - own[3].label), *own[4:]]  # type: ignore[operator]
    assert kept.difference(RowsHash.of(flipped)) == f"{where} has another label"
    other = [*own[:3], replace(own[3], fields={"text": "row 3 "}), *own[4:]]
    assert kept.difference(RowsHash.of(other)) == f"{where} has another text"
    turned = [*own[:3], *reversed(own[3:])]
    assert kept.difference(RowsHash.of(turned)) == f"the same rows in another order, from {where} on"
    # Where a row stood in its file says nothing of its content.
    assert kept.difference(RowsHash.of([replace(row, index=0) for row in own])) is None


def test_a_whole_table_takes_some_kilobytes() -> None:
    kept = RowsHash.of(rows(5000))
    assert len(kept.model_dump_json()) < 12_000
    assert RowsHash.of([]).difference(kept) == "0 rows then, 5000 now"
    with pytest.raises(ValidationError, match="hashes of"):
        RowsHash(**{**kept.model_dump(), "texts": kept.texts[1:]})
