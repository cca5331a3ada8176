"""Task definitions with a fault: one line that names the key and the mend."""

from __future__ import annotations

import numpy as np
import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Task

from ..shared.tables import told


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"template": "{a}"}, ("at least two labels",)),
        ({"labels": ["x", "y"]}, ("the key 'template' is missing",)),
        ({"template": "plain", "labels": ["x", "y"]}, ("names no field",)),
        (
            {"template": "{a} {b}", "fields": ["a"], "labels": ["x", "y"]},
            ("names the field 'b'", "it has 'a'"),
        ),
        ({"template": "{a}", "templates": {"mask": "{c}"}, "fields": ["a"], "labels": ["x", "y"]}, ("'c'",)),
        ({"template": "{a}", "lables": ["x", "y"]}, ("no key 'lables'", "'labels'")),
        ({"template": "{a}", "labels": {"0": True, "1": "y"}}, ("'labels.0'", "quotes")),
        ({"template": "{a}", "labels": ["x", "y"], "metric": "meteor"}, ("no metric 'meteor'", "accuracy")),
        ({"template": "{a}", "labels": ["x", "y"], "metric": "pearson"}, ("'pearson' is for regression",)),
        ({"template": "{a}", "labels": ["x", "y"], "kind": "tagging"}, ("'kind'", "classification")),
        ({"template": "{a}", "labels": ["x", "y"], "label_aliases": {"z": "w"}}, ("'z' stands for 'w'",)),
        ({"template": "{a}", "labels": ["x", "y"], "positive": "z"}, ("positive: 'z'",)),
        ({"template": "{a}", "labels": ["x", "y"], "seq2seq_labels": {"x": "X"}}, ("seq2seq_labels",)),
        ({"template": "{a}", "kind": "regression", "bounds": [5, 0]}, ("bounds",)),
        ({"template": "{a}", "kind": "regression", "labels": ["no"], "bounds": [0, 5]}, ("two words",)),
        ({"template": "{a}", "kind": "generation", "labels": ["x", "y"]}, ("no labels",)),
        ({"template": "{a} {choice} {mask}", "kind": "choice"}, ("{choice} is the answer",)),
        ({"template": "{a}", "fields": ["a", "mask"], "labels": ["x", "y"]}, ("'mask'", "rename")),
        ({"template": "{a", "labels": ["x", "y"]}, ("lone '{'",)),
        ({"template": "{a}", "labels": ["x", "y"], "metric": "f1", "metrics": ["f1"]}, ("not both",)),
        ({"template": "{a}", "labels": ["x", "y"], "templates": 5}, ("'templates'", "dictionary")),
        ({"template": "{a}", "labels": ["x", "y"], "templates": {"mask": 5}}, ("'templates.mask'", "quotes")),
        ({"template": 5, "labels": ["x", "y"]}, ("'template'", "quotes")),
        ({"template": "{a}", "labels": ["x", "y"], "hub": {"path": "p", "config": "q"}}, ("'hub.config'",)),
    ],
)
def test_faults_of_a_definition(values: dict[str, object], parts: tuple[str, ...]) -> None:
    with pytest.raises(SoftPromptError) as error:
        Task(**values)
    told(error, "task 'custom'", *parts)


def test_a_task_of_template_and_labels_alone() -> None:
    task = Task(template="{title}\n{body} It was {mask}", labels=["bad", "good"], metric="macro_f1")
    assert task.fields == ("title", "body")
    assert task.metrics == ("macro_f1",)
    assert task.labels == {"bad": "bad", "good": "good"}
    assert str(task.template_for("head")) == "{title}{sep}{body}"
    assert str(task.template_for("text", seq2seq=True)) == "{title}\n{body} It was"
    assert task.template_for("mask") == task.template_for("text")


def test_labels_may_be_numbers_and_truths() -> None:
    assert Task(template="{a}", labels={0: "x", 1: "y"}).label_values == ("0", "1")
    assert Task(template="{a}", labels={False: "x", True: "y"}).label_values == ("false", "true")


@pytest.mark.parametrize(
    "labels", [{1: "x", "1": "y", 0: "z"}, {True: "x", "true": "y"}, ["a", "b", "a"], {" a": "x", "a": "y"}]
)
def test_two_labels_that_are_one_are_told(labels: object) -> None:
    """Of two such words one was lost."""
    with pytest.raises(SoftPromptError, match="labels: '.*' stands twice"):
        Task(template="{a}", labels=labels)


@pytest.mark.parametrize(
    ("labels", "one"),
    [
        ({True: "x", False: "y"}, True),
        ({1: "x", 0: "y"}, 1.0),
        ({"1.0": "x", "0": "y"}, 1),
        (["True", "False"], "true"),
    ],
)
def test_other_keys_name_a_label_as_labels_does(labels: object, one: object) -> None:
    task = Task(template="{a}", labels=labels, positive=one, label_aliases={"good": one}, skip_labels=[one])
    first = task.label_values[0]
    assert (task.positive, task.label_aliases) == (first, {"good": first})


def test_keys_of_seq2seq_labels_may_be_spelled_otherwise() -> None:
    task = Task(template="{a}", labels={True: "x", False: "y"}, seq2seq_labels={"True": "Yes", 0: "No"})
    assert task.label_words(seq2seq=True) == ("Yes", "No")


def test_labels_of_numpy_are_those_of_python() -> None:
    assert Task(template="{a}", labels={np.int64(1): "x", np.float32(0.5): "y"}).label_values == ("1", "0.5")
    assert Task(template="{a}", labels={np.True_: "x", np.False_: "y"}).label_values == ("true", "false")
