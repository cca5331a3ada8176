"""A task written as YAML loads back equal, whatever its table holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from softprompt.errors import SoftPromptError
from softprompt.tasks import Task
from softprompt.tasks.guess.writing import yaml_of

WORDS = st.text(max_size=10) | st.sampled_from(
    ["yes", "NO", "null", "1.0", "012", "~", "2024-01-01", "{", "#", "é", " a", "0\x850", "a\u2028b"]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(WORDS, min_size=2, max_size=4, unique=True),
    st.lists(WORDS, min_size=2, max_size=2, unique=True),
    st.booleans(),
)
def test_any_guessed_task_loads_back(tmp_path: Path, labels: list[str], names: list[str], plain: bool) -> None:
    rows = [{names[0]: f"a text about {n} things", names[1]: labels[n % len(labels)]} for n in range(12)]
    try:
        task = Task.from_file(rows, names[0], names[1])
    except SoftPromptError:  # the labels are one, or empty; such a name is a column's, but no file's
        return
    written = yaml_of(task, ("text: x\nlabel: y",), ascii_only=plain)
    assert written.isascii() or not plain
    path = tmp_path / "task.yaml"
    path.write_text(written, encoding="utf-8")
    found = Task.load(path)
    assert found.model_dump() == task.model_dump()
    assert found.notes == ()


@pytest.mark.parametrize("name", ["sst2", "rte", "stsb", "copa", "agnews"])
def test_the_catalog_loads_back(name: str, tmp_path: Path) -> None:
    task = Task.load(name)
    path = tmp_path / "task.yaml"
    path.write_text(yaml_of(task), encoding="utf-8")
    assert Task.load(path).model_dump() == task.model_dump()


def test_each_key_of_a_guessed_task_is_explained(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"a text": f"words of row {n}", "label": n % 2} for n in range(12)]
    lines = yaml_of(Task.from_file(rows), ("told",)).splitlines()
    assert lines[0] == "# told"
    keys = [number for number, line in enumerate(lines) if line[0] not in "# "]
    assert len(keys) >= 6
    assert all(lines[number - 1].startswith("# ") for number in keys)
    assert 'template: "{a_text}\\nLabel: {mask}"' in lines
