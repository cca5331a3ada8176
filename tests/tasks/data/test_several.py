"""Lists and mappings of published question answering become texts; nothing ever becomes what Python shows of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softprompt.errors import SoftPromptError
from softprompt.tasks import Task

from ...shared.tables import REVIEWS, told, write

ASKED = Task(kind="generation", template="{question} {mask}", metric="token_f1")
CHOICE = Task(kind="choice", template="{question} {choice}", columns={"label": ("answerKey",)})


def row(value: Any, column: str = "answers") -> Any:
    return ASKED.rows_of([{"question": "q", column: value}])[0]


@pytest.mark.parametrize("column", ["answers", "label"])
@pytest.mark.parametrize(
    ("value", "answers"),
    [
        ({"text": ["Paris", "in Paris"], "answer_start": [3, 0]}, ("Paris", "in Paris")),
        ({"text": np.array(["Paris"], dtype=object), "answer_start": np.array([3])}, ("Paris",)),
        ([{"text": "Paris", "answer_start": 3}, {"text": "in Paris", "answer_start": 0}], ("Paris", "in Paris")),
        ({"value": "Paris", "aliases": ["Paname"], "normalized_value": "paris"}, ("Paris", "Paname")),
        ({"Value": "Paris", "Aliases": []}, ("Paris",)),
        ({"spans": ["Paris", 1991], "types": ["span", "number"]}, ("Paris", "1991")),
        ([["Paris"], ["in Paris"]], ("Paris", "in Paris")),
        (["Paris", "Paris"], ("Paris", "Paris")),
        ("{Paris}", ("{Paris}",)),
    ],
)
def test_published_answers_become_texts(value: object, answers: tuple[str, ...], column: str) -> None:
    found = row(value, column)
    assert (found.label, found.answers) == (answers[0], answers)


@pytest.mark.parametrize("value", [[], {"text": [], "answer_start": []}, "", None])
def test_an_empty_answer_is_none(value: object) -> None:
    assert row(value).label is None


@pytest.mark.parametrize("column", ["answers", "label"])
@pytest.mark.parametrize(
    ("value", "part"),
    [
        ({"start": 3, "end": 5}, "is a mapping of 'start' or 'end', none of which holds its texts; give a text"),
        (["Paris", {"start": 3}], "is a mapping of 'start', none of which holds its texts"),
        ([None], "holds None, no text"),
        (b"Paris", "holds b'Paris', no text"),
        ([" ", "Paris"], "the answer is empty"),
        ([[[[[["Paris"]]]]]], "lists or mappings more than 4 deep"),
    ],
)
def test_what_holds_no_texts_is_refused(value: object, part: str, column: str) -> None:
    with pytest.raises(SoftPromptError) as error:
        row(value, column)
    told(error, "rows, line 1: ", part)


@given(st.recursive(st.one_of(st.text(max_size=5), st.integers(), st.none()), lambda inner: st.one_of(
    st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["text", "value", "x"]), inner, max_size=2)
), max_leaves=6))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_a_container_is_read_or_refused_and_never_shown(value: Any) -> None:
    for column in ("answers", "label", "question"):
        try:
            (found,) = ASKED.rows_of([{"question": "q", column: value}])
        except SoftPromptError:
            continue
        if isinstance(value, (list, dict)):
            assert repr(value) not in (*found.answers, found.label, *found.fields.values())


def test_a_cell_of_a_table_holds_json(tmp_path: Path) -> None:
    cells = '"{""text"": [""Paris""], ""answer_start"": [3]}"', '"[""a"", ""b""]"', "[so-called]", "plain"
    path = write(
        tmp_path / "rows.csv", "question,answers\n" + "".join(f"q{n},{cell}\n" for n, cell in enumerate(cells))
    )
    splits = ASKED.with_data(path).splits()
    rows = sorted((*splits.train, *splits.validation, *splits.test), key=lambda one: one.fields["question"])
    assert [one.answers for one in rows] == [("Paris",), ("a", "b"), ("[so-called]",), ("plain",)]


@pytest.mark.parametrize("cell", ["{'text': ['Paris']}", "{'text': array(['Paris'], dtype=object)}", "['Paris']"])
def test_what_python_shows_is_no_answer(cell: str) -> None:
    with pytest.raises(SoftPromptError) as error:
        row(cell)
    told(error, "'answers' is a list or a mapping as Python shows it", "write the file as jsonl or parquet")


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"text": ["a", "b"]}, "the field 'text' is a list, not one text; join its parts"),
        ({"text": {"a": "b"}}, "the field 'text' is a mapping, not one text"),
        ({"text": np.array(["a", "b"])}, "the field 'text' is a list, not one text"),
        ({"text": "a", "label": ["0"]}, "the label ['0'] is a list; give one value a row"),
        ({"text": "a", "label": {"value": "0"}}, "the label {'value': '0'} is a mapping; give one value a row"),
        ({"text": "a", "label": b"0"}, "the label b'0' is bytes"),
    ],
)
def test_a_field_and_a_label_are_one_value(values: dict[str, Any], part: str) -> None:
    with pytest.raises(SoftPromptError) as error:
        REVIEWS.rows_of([values])
    told(error, "rows, line 1: ", part)


@pytest.mark.parametrize(
    ("choices", "part"),
    [
        ([{"a": 1}, "b"], "'choices' is a mapping of 'a'"),
        ([["a", "c"], "b"], "'choices' has lists in it"),
        ({"a": 1, "b": 2}, "'choices' is a mapping of 'a' or 'b'"),
        ("a, b", "with a list of at least two texts"),
    ],
)
def test_choices_are_texts(choices: object, part: str) -> None:
    with pytest.raises(SoftPromptError) as error:
        CHOICE.rows_of([{"question": "q", "choices": choices, "answerKey": "1"}])
    told(error, "rows, line 1: ", part)


@pytest.mark.parametrize("names", [["A", "B"], ["1", "2"]])
def test_named_choices_are_answered_by_their_names(names: list[str]) -> None:
    choices = {"text": ["red", "blue"], "label": names}
    (found,) = CHOICE.rows_of([{"question": "q", "choices": choices, "answerKey": names[1]}])
    assert (found.choices, found.label, found.answers) == (("red", "blue"), 1, ("blue",))


def test_labels_of_a_task_are_no_lists() -> None:
    with pytest.raises(SoftPromptError, match=r"label \['a', 'b'\] is a list: give one text or number"):
        Task(template="{text} {mask}", labels=[["a", "b"], "c"])
