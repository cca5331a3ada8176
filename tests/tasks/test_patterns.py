"""Other words for a task: by the name of one of its patterns, or written out."""

from __future__ import annotations

from typing import Any

import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Task
from softprompt.tasks.registry import TASKS, register_task

from ..shared.tables import told

WORDS = {"no": "bad", "yes": "good"}
ASKED = {"template": "{text} Good? {mask}", "labels": {"yes": "yes", "no": "no"}}
MASKED = {"templates": {"mask": "{mask}: {text}"}, "seq2seq_labels": {"no": "minus", "yes": "plus"}}
PATTERNS = {"By-Question": ASKED, "masked": MASKED}


def task(**values: Any) -> Task:
    given = {"template": "{text} It was {mask}", "templates": {"seq2seq": "rate: {text}"}, "labels": WORDS}
    return Task(**{**given, "seq2seq_labels": {"no": "0", "yes": "1"}, "patterns": PATTERNS, **values})


def test_a_pattern_takes_the_place_of_all_templates() -> None:
    """A readout that it says nothing of is not asked in the task's own words in silence."""
    own = task().with_template("by_question")
    for readout in ("text", "mask"):
        assert str(own.template_for(readout)) == "{text} Good? {mask}"
    assert str(own.template_for("text", seq2seq=True)) == "{text} Good?"
    assert str(own.template_for("head")) == "{text} Good?"
    assert own.label_words() == own.label_words(seq2seq=True) == ("no", "yes")  # in the order of the task's classes
    masked = task().with_template("masked")
    assert str(masked.template_for("mask")) == "{mask}: {text}"
    assert masked.label_words() == ("bad", "good")
    assert masked.label_words(seq2seq=True) == ("minus", "plus")
    for readout, seq2seq in (("text", False), ("text", True), ("head", False)):
        with pytest.raises(SoftPromptError, match="template '{mask}: {text}'"):
            masked.template_for(readout, seq2seq)


def test_a_text_keeps_the_words_of_the_labels() -> None:
    own = task().with_template("{prompt:2} {text}{prompt:3} {mask}")
    assert str(own.template_for("head")) == "{prompt:2} {text}{prompt:3}"
    assert own.label_words() == ("bad", "good")
    assert own.label_words(seq2seq=True) == ("0", "1")
    assert str(task().with_template("On {text}:").template_for("head")) == "On {text}:"


def test_rows_and_their_source_stay() -> None:
    rows = [{"text": f"film {n}", "label": ("no", "yes")[n % 2]} for n in range(30)]
    own = task().with_data(rows)
    assert own.with_template("masked").splits() == own.splits()


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ("by-quest", ("no template 'by-quest'", "did you mean 'By-Question'?", "By-Question, masked", "in braces")),
        ("It was good", ("no template 'It was good'", "its patterns are By-Question, masked", "in braces")),
        ("{txt} {mask}", ("names the field 'txt'", "it has 'text'")),
        ("{text} {mask} {mask}", ("{mask} stands twice",)),
        ("{text", ("lone '{'",)),
        ("{prompt} {mask}", ("names no field",)),
    ],
)
def test_what_is_neither_a_pattern_nor_a_template_is_told(given: str, parts: tuple[str, ...]) -> None:
    with pytest.raises(SoftPromptError) as error:
        task().with_template(given)
    told(error, *parts)


def test_a_task_without_patterns_says_so() -> None:
    with pytest.raises(SoftPromptError, match="it has no named patterns"):
        task(patterns={}).with_template("p-tuning")


@pytest.mark.parametrize(
    ("pattern", "parts"),
    [
        ({}, ("'patterns.one'", "this one has none")),
        ({"template": "{a} {mask}"}, ("names the field 'a'",)),
        ({"templates": {"mask": "{text"}}, ("lone '{'",)),
        ({"templates": {"prompt": "{text}"}}, ("'patterns.one.templates.prompt'",)),
        ({"labels": {"no": "x"}}, ("patterns.one", "same values")),
        ({"labels": {"no": "x", "yes": 5}}, ("'patterns.one.labels.yes'", "quotes")),
        ({"labels": {"no": "x" * 2_000, "yes": "y"}}, ("2,000 characters",)),
        ({"label": {"no": "x", "yes": "y"}}, ("no key 'patterns.one.label'",)),
        ("{text} {mask}", ("'patterns.one'",)),
    ],
)
def test_faults_of_a_pattern(pattern: object, parts: tuple[str, ...]) -> None:
    with pytest.raises(SoftPromptError) as error:
        task(patterns={"one": pattern})
    told(error, *parts)


def test_label_values_are_those_of_the_task_in_any_of_their_spellings() -> None:
    one = {"template": "{text} {mask}", "labels": {0: "off", 1: "on"}}
    own = Task(template="{text} It is {mask}", labels={False: "false", True: "true"}, patterns={"one": one})
    assert own.with_template("one").labels == {"false": "off", "true": "on"}


def test_what_a_run_records_is_the_template_that_was_taken() -> None:
    """A run that began before a task had patterns is the same run."""
    assert "patterns" not in task().model_dump(mode="json")
    assert task().model_dump() == task(patterns={}).model_dump()
    taken = task().with_template("masked").model_dump(mode="json")
    assert Task(**taken).template_for("mask") == task().with_template("masked").template_for("mask")


def test_load_takes_a_template() -> None:
    own = Task.load("rte", template="P-Tuning")
    assert str(own.template_for("mask")) == "{premise} Question: {hypothesis:stem}?{prompt} Answer: {mask}."
    assert Task.load("rte", template="{hypothesis} {mask}").template == "{hypothesis} {mask}"


def test_a_registered_task_has_its_patterns() -> None:
    register_task(lambda: task(name="with-patterns"))
    try:
        assert Task.load("with-patterns", template="masked").templates["mask"] == "{mask}: {text}"
    finally:
        TASKS._entries.pop("with-patterns")
