"""Folders of runs: what is there is read, what is not is told, and what is no run is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from softprompt.errors import SoftPromptError
from softprompt.explain.report.run_files import own_rows, read_run_files
from softprompt.methods import PromptTuning

from ...shared.run_folders import cell
from ...shared.runs import run


def test_what_is_no_finished_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SoftPromptError, match="no such folder"):
        read_run_files(tmp_path / "nothing")
    with pytest.raises(SoftPromptError, match="no finished run"):
        read_run_files(tmp_path)
    (cell(tmp_path / "begun") / "metrics.json").unlink()
    with pytest.raises(SoftPromptError, match="not finished"):
        read_run_files(tmp_path / "begun")


def test_own_rows_are_those_that_were_recorded(tmp_path: Path) -> None:
    made = run(tmp_path, "llama", PromptTuning(num_virtual_tokens=2), max_steps=2)
    files = read_run_files(made.folder)
    assert files.lacking == ()
    found = own_rows(files)
    assert found.same
    assert files.predictions is not None
    assert [row.label for row in found.test] == list(files.predictions.label)
    data = tmp_path / "data" / "rows.jsonl"
    data.write_text(data.read_text().replace("w30", "w31"))
    assert not own_rows(files).same
    data.unlink()
    with pytest.raises(SoftPromptError, match="where nothing is now"):
        own_rows(files)


def test_of_one_of_several_tasks_its_own_part_is_told(tmp_path: Path) -> None:
    several: dict[str, Any] = {}
    for name, shots in (("one", 4), ("other", 8)):
        made = cell(tmp_path / "run" / "tasks" / name, task=name, asked=name)
        own = json.loads((made / "run.json").read_text())
        several[name] = {"rows": own["rows"], "shots": shots, "task_definition": {"name": name}}
        (made / "run.json").unlink()
    (tmp_path / "run" / "run.json").write_text(json.dumps({"method": "mpt", "seed": 13, "tasks": several}))
    files = read_run_files(tmp_path / "run" / "tasks" / "other")
    found = files.rows_hash("test")
    assert found is not None
    assert (found.unordered, files.identity["shots"], files.identity["method"]) == ("other", 8, "mpt")
