"""Runs are found wherever they lie, and what is none says why."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from softprompt.compare.formats.document import as_json
from softprompt.compare.gathering import gather
from softprompt.compare.tabulate import tabulate
from softprompt.errors import SoftPromptError
from softprompt.evaluation.predictions import PREDICTIONS
from softprompt.files.manifest import sealed

from ..shared.run_folders import answers, cell, diverged
from ..shared.runs import finished


def reasons(*folders: Path) -> dict[str, str]:
    """Why folders are left out, by their names."""
    return {one.folder.name: one.reason for one in gather(folders).left}


def test_runs_lie_at_any_depth_and_each_counts_once(tmp_path: Path) -> None:
    cell(tmp_path / "a", seed=1)
    cell(tmp_path / "deep" / "er" / "b", seed=2)
    (tmp_path / "deep" / "empty").mkdir()
    gathered = gather([tmp_path, tmp_path / "deep", tmp_path / "a"])
    found = gathered.finished
    assert [run.folder.name for run in found] == ["a", "b"]
    assert gathered.left == []
    assert found[0].predictions == answers([1, 1, 1, 0])
    assert (found[0].training_rows, found[0].shots, found[0].backbone) == (32, None, ("111122223333", "float32"))


def test_folders_of_a_run_are_not_searched_and_links_not_followed(tmp_path: Path) -> None:
    run = cell(tmp_path / "a")
    for name in ("state", "prompt", ".hidden"):
        shutil.copytree(run, tmp_path / "a" / name / "old")
    os.symlink(tmp_path, tmp_path / "circle")
    assert len(gather([tmp_path]).finished) == 1


def test_what_is_left_out_says_why(tmp_path: Path) -> None:
    (cell(tmp_path / "begun") / "metrics.json").unlink()
    cell(tmp_path / "untested", test={})
    broken = cell(tmp_path / "broken") / "metrics.json"
    broken.write_text(broken.read_text().replace('"seed": 13', '"seed": 14'))
    (cell(tmp_path / "half") / "run.json").write_text('{"task": "x"')
    (cell(tmp_path / "adapted") / "run.json").write_text('{"steps": 4}')
    shutil.copytree(cell(tmp_path / "first", seed=5), tmp_path / "second")
    found = reasons(tmp_path)
    assert list(found) == ["adapted", "begun", "broken", "half", "untested", "second"]
    assert found["begun"].startswith("not finished")
    assert found["untested"] == "no test rows were scored"
    assert "metrics.json" in found["broken"]
    assert "run.json: cannot be read as JSON" in found["half"]
    assert found["adapted"] == "run.json tells of no method on a task"
    assert found["second"] == f"a copy of {tmp_path / 'first'}"


def test_a_run_that_diverged_stands_apart(tmp_path: Path) -> None:
    cell(tmp_path / "a", seed=1)
    diverged(cell(tmp_path / "b", seed=2))
    found = gather([tmp_path])
    assert [run.folder.name for run in found.finished] == ["a"]
    assert [run.folder.name for run in found.diverged] == ["b"]
    assert found.left == []


def test_the_trials_of_a_search_are_no_runs_of_a_table(tmp_path: Path) -> None:
    cell(tmp_path / "cells" / "a")
    for place in range(3):
        cell(tmp_path / "trials" / f"00{place}", seed=place)
    assert len(gather([tmp_path]).finished) == 4, "a folder of that name alone is no search's"
    (tmp_path / "trials.journal").touch()
    found = gather([tmp_path])
    assert [run.folder.name for run in found.finished] == ["a"]
    assert reasons(tmp_path) == {"trials": "3 runs of a search's trials: they were measured on rows to choose by"}
    assert reasons(tmp_path / "trials" / "001")["trials"].startswith("1 run of a search's trials")


def test_answers_of_another_run_are_refused(tmp_path: Path) -> None:
    run = cell(tmp_path / "a")
    answers([1, 0, 0, 0]).write(run / PREDICTIONS)
    assert "does not give the accuracy of metrics.json" in reasons(tmp_path)["a"]
    (run / PREDICTIONS).write_text("{}")
    assert PREDICTIONS in reasons(tmp_path)["a"]
    (run / PREDICTIONS).unlink()
    assert gather([tmp_path]).finished[0].predictions is None


def test_answers_of_a_metric_that_is_not_here_are_passed_over(tmp_path: Path) -> None:
    scores = {"own_metric": 0.5, "rows": 4, "interval": [0.1, 0.9]}
    changes = {"metric": "own_metric"}
    run = cell(tmp_path / "a")
    finished(test=scores, **changes).write(run / "metrics.json")
    found = gather([tmp_path])
    assert found.left == []
    assert found.finished[0].predictions is None


def test_each_of_several_tasks_is_a_run(tmp_path: Path) -> None:
    whole = tmp_path / "both"
    for task in ("one", "two"):
        (cell(whole / "tasks" / task, task=task) / "run.json").unlink()
    tasks = {task: {"shots": 4, "rows": {"train": {"count": 8}}} for task in ("one", "two")}
    (whole / "run.json").write_text(json.dumps({"method": "mpt", "seed": 13, "tasks": tasks}))
    assert "not finished" in reasons(tmp_path)["both"]
    (whole / "metrics.json").write_text(json.dumps(sealed({"method": "mpt"})))
    gathered = gather([tmp_path])
    found = gathered.finished
    assert gathered.left == []
    assert [(run.record.task, run.shots, run.training_rows) for run in found] == [("one", 4, 8), ("two", 4, 8)]
    assert found[0].identity["together_with"] == 1


def test_where_there_is_no_run_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(SoftPromptError, match="no run there: name folders"):
        gather([tmp_path])
    (tmp_path / "file").touch()
    for name in ("file", "gone"):
        with pytest.raises(SoftPromptError, match=f"{name} is no folder"):
            gather([tmp_path / name])
    with pytest.raises(SoftPromptError, match="is empty"):
        gather([""])


@pytest.mark.parametrize("value", [None, [], 3, "x", True, {"train": 3, "test": [1]}, {"test": {"texts": {}}}])
def test_an_identity_that_is_none_of_ours_is_no_traceback(value: object, tmp_path: Path) -> None:
    names = ("shots", "rows", "fingerprint", "method_options", "training_options", "readout", "seed", "protocol")
    for place, name in enumerate(names):
        cell(tmp_path / name, seed=place, identity={name: value})
    found = tabulate([tmp_path])
    assert found.runs + len(found.left_out) == len(names)
    assert as_json(found)
