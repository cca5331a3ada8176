"""A nested record that is not in its task's layout is told with its place and the key, never with a traceback."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Task
from softprompt.tasks.data.layouts import LAYOUTS

from ...shared.tables import told, write

WHOLE: dict[str, dict[str, Any]] = {
    "copa": {"premise": "it rained", "question": "effect", "choice1": "wet", "choice2": "dry"},
    "multirc": {
        "idx": 3,
        "passage": {"text": "a", "questions": [{"question": "b", "idx": 1, "answers": [{"text": "c", "label": 1}]}]},
    },
    "record": {
        "passage": {"text": "Ann met Bo", "entities": [{"start": 0, "end": 2}, {"start": 8, "end": 9}]},
        "qas": [{"query": "@placeholder left", "answers": [{"text": "Ann"}]}],
    },
    "mrqa": {
        "context": "Ann met Bo",
        "qas": [{"question": "Who?", "answers": ["Bo"], "detected_answers": [{"text": "Bo", "char_spans": [[8, 9]]}]}],
    },
    "webnlg": {
        "category": "Food",
        "modifiedtripleset": [{"subject": "a", "property": "b", "object": "c"}],
        "lexicalisations": [{"comment": "good", "lex": "d"}],
    },
    "dart": {"tripleset": [["a", "b", "c"]], "annotations": [{"text": "d"}]},
    "e2e": {"mr": "name[a]", "ref": "b"},
    "commonsense_qa": {
        "answerKey": "B",
        "id": "1",
        "question": {
            "question_concept": "tea",
            "choices": [{"label": "A", "text": "a net"}, {"label": "B", "text": "a cup"}],
            "stem": "Where is tea?",
        },
    },
    "wsc": {"text": "Ann saw her", "target": {"span1_text": "Ann", "span2_text": "her", "span2_index": 2}},
}
# Values that stand nowhere in these records, and few of which can be taken for what does.
ODD: tuple[object, ...] = (None, 2.5, [], {}, [1], {"a": 1})


def places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The path of every value inside a record."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [each for key, one in inside for each in ((*path, key), *places(one, (*path, key)))]


def changed(value: Any, path: tuple[str | int, ...], to: object) -> Any:
    """A record with another value at one place."""
    if not path:
        return to
    first, *rest = path
    kept = dict(value) if isinstance(value, dict) else list(value)
    kept[first] = changed(value[first], tuple(rest), to)
    return kept


@pytest.mark.parametrize("layout", WHOLE)
def test_a_whole_record_gives_rows(layout: str) -> None:
    assert list(LAYOUTS[layout](WHOLE[layout]))


@pytest.mark.parametrize("layout", WHOLE)
def test_a_value_of_another_kind_is_read_or_refused(layout: str) -> None:
    task = Task.load(layout)
    for path in places(WHOLE[layout]):
        for odd in ODD:
            with suppress(SoftPromptError):
                task.rows_of([changed(WHOLE[layout], path, odd)])


@pytest.mark.parametrize(
    ("layout", "path", "odd", "part"),
    [
        ("multirc", ("passage",), "a text", "'passage' is a str where an object should be"),
        ("record", ("qas",), {"query": "a"}, "'qas' is a dict where a list should be"),
        ("record", ("passage", "entities"), [3], "'entities' is a int where an object should be"),
        ("wsc", ("target", "span2_text"), 4, "'span2_text' is a int where a text should be"),
    ],
)
def test_what_is_of_another_kind_is_named(layout: str, path: tuple[str, ...], odd: object, part: str) -> None:
    with pytest.raises(SoftPromptError) as error:
        Task.load(layout).rows_of([changed(WHOLE[layout], path, odd)])
    assert part in str(error.value)


def test_entities_in_one_text_are_not_taken_for_its_letters() -> None:
    flat = {"passage": "Ann met Bo", "query": "@placeholder left", "entities": "Ann, Bo"}
    with pytest.raises(SoftPromptError, match="'entities' is a str where a list should be"):
        Task.load("record").rows_of([flat])


@pytest.mark.parametrize(
    ("task", "record", "parts"),
    [
        (
            "copa",
            '{"premise": "a", "choice1": "b", "choice2": "c", "question": "why", "label": 0}',
            ("copa", "'why'"),
        ),
        (
            "copa",
            '{"premise": "a", "choice1": "b", "choice2": "c", "question": "cause", "label": 2}',
            ("label '2'",),
        ),
        ("multirc", '{"idx": 0, "passage": "text"}', ("layout of multirc",)),
        (
            "record",
            '{"passage": "p", "query": "q", "entities": ["a", "b"], "answers": ["a"]}',
            ("no @placeholder",),
        ),
        (
            "record",
            '{"passage": "p", "query": "@placeholder", "entities": ["a", "b"], "answers": ["c"]}',
            ("none of the right answers 'c'",),
        ),
        (
            "record",
            '{"passage": "p", "query": "@placeholder", "entities": ["a"], "answers": ["a"]}',
            ("two texts",),
        ),
        ("wsc", '{"text": "a b", "label": true}', ("layout of wsc", "'span2_index'")),
        ("stsb", '{"sentence1": "a", "sentence2": "b", "label": 7}', ("label '7'", "from 0 to 5")),
        ("stsb", '{"sentence1": "a", "sentence2": "b", "label": "x"}', ("label 'x'",)),
        ("agnews", '{"text": "a", "label": 2}', ("from 0 or from 1",)),
    ],
)
def test_faults_of_nested_records(tmp_path: Path, task: str, record: str, parts: tuple[str, ...]) -> None:
    write(tmp_path / "train.jsonl", f"{record}\n" * 4)
    with pytest.raises(SoftPromptError) as error:
        Task.load(task, data=tmp_path).splits()
    told(error, "train.jsonl", *parts)
