"""Task definitions with a fault: one line that names the key and the mend."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Task

from ..shared.tables import told, write


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
        ({"template": "{a}", "labels": ["x", "y"], "metric": "bleu"}, ("no metric 'bleu'", "accuracy")),
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


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("template: '{a} It was {mask}'\nlabels: {0: No, 1: Yes}\n", ("mine.yaml", "'labels.0'", "quotes")),
        ("template: [", ("mine.yaml", "not proper YAML")),
        ("- a\n- b\n", ("mine.yaml", "not a YAML mapping")),
        ("labels: [a, b]\n", ("mine.yaml", "'template' is missing")),
    ],
)
def test_faults_of_a_yaml_file(tmp_path: Path, content: str, parts: tuple[str, ...]) -> None:
    path = write(tmp_path / "mine.yaml", content)
    with pytest.raises(SoftPromptError) as error:
        Task.load(path)
    told(error, *parts)


@pytest.mark.parametrize(
    ("name", "parts"),
    [("ss2", ("no task 'ss2'", "'sst2'")), ("qwertz", ("boolq", "wsc")), ("gone.yaml", ("gone.yaml",))],
)
def test_no_such_task(name: str, parts: tuple[str, ...]) -> None:
    with pytest.raises(SoftPromptError) as error:
        Task.load(name)
    told(error, *parts)


def test_templates_that_a_readout_cannot_use() -> None:
    task = Task(template="{mask}: {text}", labels=["x", "y"], templates={"head": "{text} {mask}"})
    with pytest.raises(SoftPromptError) as error:
        task.template_for("text")
    told(error, "goes on after {mask}", "templates")
    with pytest.raises(SoftPromptError) as error:
        task.template_for("head")
    told(error, "for a head")
    with pytest.raises(SoftPromptError) as error:
        Task(template="{text}", labels=["x", "y"]).template_for("mask")
    told(error, "no {mask}")
