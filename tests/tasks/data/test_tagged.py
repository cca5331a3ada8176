"""Words with a tag each: every form that they come in, what is wrong with them, and the labels that they make."""

from __future__ import annotations

import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Task
from softprompt.tasks.data.tagged import labels_of

TASK = Task(kind="tags", labels=["O", "B-PER"])


@pytest.mark.parametrize(
    "row",
    [
        {"tokens": ["Anna", "left"], "tags": ["B-PER", "O"]},
        {"words": ("Anna", "left"), "ner_tags": "B-PER O"},
        {"text": "Anna  left ", "label": ["B-PER", "O"]},
        {"tokens": '["Anna", "left"]', "tags": '["B-PER", "O"]'},
    ],
)
def test_lists_texts_and_cells(row: dict[str, object]) -> None:
    (found,) = TASK.rows_of([row])
    assert (found.words, found.label, found.fields) == (("Anna", "left"), (1, 0), {"text": "Anna left"})


def test_a_text_alone_is_words_without_tags() -> None:
    (found,) = TASK.rows_of(["Anna left"])
    assert (found.words, found.label) == (("Anna", "left"), None)


def test_numbers_are_tags_where_labels_say_so() -> None:
    numbered = Task(kind="tags", labels={0: "O", 1: "B-PER"})
    assert numbered.metric == "span_f1"
    assert numbered.rows_of([{"tokens": ["Anna", "left"], "tags": [1, 0]}])[0].label == (1, 0)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"tokens": ["Anna"], "tags": ["B-PER", "O"]}, "2 tags for 1 words"),
        ({"tokens": ["Anna", ""], "tags": ["B-PER", "O"]}, "word 2 in 'tokens' is empty"),
        ({"tokens": [], "tags": []}, "no words in 'tokens'"),
        ({"tokens": ["Anna"], "tags": ["PER"]}, "tag 'PER' is not one of 'O' or 'B-PER' .did you mean 'B-PER'"),
        ({"tokens": ["Anna"], "tags": [3]}, "tag '3' is not one of"),
        ({"tokens": ["Anna", None], "tags": ["O", "O"]}, "has None in it"),
        ({"tokens": [["Anna"]], "tags": ["O"]}, "which is no text"),
        ({"tokens": 3, "tags": ["O"]}, "'tokens' is int"),
        ({"sentence": "Anna", "tags": ["O"]}, "no column .*'tokens'.* for the words; found 'sentence', 'tags'|or"),
    ],
)
def test_faults(row: dict[str, object], message: str) -> None:
    with pytest.raises(SoftPromptError, match=f"rows, line 1: .*{message}"):
        TASK.rows_of([row])


def test_labels_are_those_that_stand_there() -> None:
    rows = [{"tokens": ["a", "b"], "tags": ["I-X", "O"]}, {"tokens": ["c"], "tags": ["B-X"]}]
    assert labels_of(rows) == ("O", "B-X", "I-X")
    assert labels_of([{"words": ["a"], "ner_tags": ["NN"], "pos": ["X"]}]) == ("NN",)
    for other in ({"text": "a b", "label": "x"}, {"tokens": ["a"]}, {"tokens": ["a", "b"], "tags": ["O"]}):
        assert labels_of([other]) is None
    assert labels_of([]) is None


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "at least two labels"),
        ({"labels": ["O", "B X"]}, "white space"),
        ({"labels": ["O", "B-X"], "template": "{text} {mask}"}, "no {mask}"),
        ({"labels": ["O", "B-X"], "template": "{text:lower}"}, "stands once, as it is"),
        ({"labels": ["O", "B-X"], "template": "{a} {b}"}, "one field"),
        ({"labels": ["NN", "VB"], "metric": "span_f1"}, "'NN' does not say where a span is"),
        ({"labels": ["O", "B-X"], "metric": "accuracy"}, "is for classification"),
    ],
)
def test_definitions_that_cannot_be(keys: dict[str, object], message: str) -> None:
    with pytest.raises(SoftPromptError, match=message):
        Task(kind="tags", **keys)


def test_one_kind_has_this_layout() -> None:
    with pytest.raises(SoftPromptError, match="its kind is tags"):
        Task(kind="classification", layout="conll", template="{text}", labels=["a", "b"])
