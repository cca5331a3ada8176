"""Tasks by name or file: spellings, and one line for what is no task."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Task

from ..shared.tables import told, write


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


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("SST-2", "sst2"),
        ("sst_2", "sst2"),
        ("sst-5", "sst5"),
        ("STS-B", "stsb"),
        ("ag_news", "agnews"),
        ("BoolQ", "boolq"),
        ("MNLI-mm", "mnli_mismatched"),
        ("mnli", "mnli"),
        ("Movie Reviews", "movie_reviews"),
    ],
)
def test_spellings(spelling: str, name: str) -> None:
    assert Task.load(spelling).name == name


@pytest.mark.parametrize("name", ["", "-", "()", " _ "])
def test_a_name_without_a_letter_is_no_task(name: str) -> None:
    with pytest.raises(SoftPromptError, match="no task") as error:
        Task.load(name)
    told(error, "the tasks are agnews")
