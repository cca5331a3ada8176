"""The notebook of the pages, executed as a user executes it: in a kernel, a folder of its own, and without a network.

A kernel starts, loads MiniLM and trains on it: ten seconds, for which nothing else shows what a cell displays.
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parents[1] / "docs" / "notebooks" / "first_hour.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which it ran, with its outputs in `done.ipynb`."""
    folder = tmp_path_factory.mktemp("notebook")
    (folder / "first_hour.ipynb").write_bytes(SOURCE.read_bytes())
    own = {"HOME": str(folder), "IPYTHONDIR": str(folder / "ipython"), "JUPYTER_PLATFORM_DIRS": "1"}
    words = [sys.executable, "-m", "nbconvert", "--execute", "--to", "notebook", "--output", "done", "first_hour.ipynb"]
    told = subprocess.run(
        words, cwd=folder, capture_output=True, text=True, env={**os.environ, **own, "HF_HUB_OFFLINE": "1"}, check=False
    )
    assert told.returncode == 0, told.stderr[-2000:]
    return folder


def outputs(folder: Path) -> list[dict[str, Any]]:
    cells = json.loads((folder / "done.ipynb").read_text())["cells"]
    return [output for cell in cells if cell["cell_type"] == "code" for output in cell["outputs"]]


def shown(output: dict[str, Any], kind: str = "text/plain") -> str:
    return "".join(output.get("data", {}).get(kind, ""))


@pytest.mark.no_cover
def test_a_table_becomes_a_file_of_answers(executed: Path) -> None:
    with (executed / "answers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["team"] for row in rows] == ["billing", "delivery", "account"]


@pytest.mark.no_cover
def test_progress_is_one_output_and_nothing_is_said_on_standard_error(executed: Path) -> None:
    found = outputs(executed)
    assert [one for one in found if one["output_type"] == "stream" and one["name"] == "stderr"] == []
    (told,) = [one for one in found if one["output_type"] == "display_data"]
    lines = shown(told).splitlines()
    assert lines[0].startswith("tickets: 32 training, 4 validation, 12 test rows")
    assert [line.split(":")[0] for line in lines[-2:]] == ["training", "test"]
    assert shown(told, "text/html").count("<progress") == 3
    assert len(lines) < 10


@pytest.mark.no_cover
def test_values_are_some_lines_and_a_table(executed: Path) -> None:
    results = [one for one in outputs(executed) if one["output_type"] == "execute_result"]
    tables = {re.split("[:\\n]", shown(one))[0]: one for one in results if shown(one, "text/html")}
    assert list(tables) == ["Task", "Run", "Prompt", "Nearest words"]
    for one in tables.values():
        assert len(shown(one).splitlines()) < 10
        assert shown(one, "text/html").startswith("<div><b>")


@pytest.mark.no_cover
def test_no_place_of_the_machine_is_shown(executed: Path) -> None:
    told = json.dumps(outputs(executed))
    assert not re.search(r"site-packages|/tmp/|/home/|/root/|\.venv|/private/", told)
    assert str(executed) not in told


def test_it_is_kept_without_outputs() -> None:
    """So that what a reader sees is what the tests saw, and no run of another machine."""
    cells = [cell for cell in json.loads(SOURCE.read_text())["cells"] if cell["cell_type"] == "code"]
    assert [(cell["outputs"], cell["execution_count"]) for cell in cells] == [([], None)] * len(cells)
