"""`softprompt multitask`: two tasks, their runs, a further task, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def other(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second task over the same rows."""
    path = tmp_path_factory.mktemp("other") / "other.yaml"
    path.write_text((data / "task.yaml").read_text().replace("name: words", "name: other").replace("w10", "w14"))
    return path


def words(backbone: Path, data: Path, other: Path, *more: Any) -> list[Any]:
    tasks = ["--task", data / "task.yaml", "--data", data, "--task", other]
    return ["multitask", "--backbone", backbone, "--method", "mpt", *tasks, "--set", "max_steps=2", *more]


def test_two_tasks_and_a_third(ask: Any, backbone: Path, data: Path, other: Path, tmp_path: Path) -> None:
    out = tmp_path / "both"
    code, printed, err = ask(*words(backbone, data, other, "--data", data, "--out", out))
    assert code == 0, err
    assert "mpt on 2 tasks together" in printed
    assert "value [95 % interval]" in printed
    assert "words" in printed
    code, printed, err = ask(*words(backbone, data, other, "--data", data, "--out", out, "--resume", "--json"))
    assert code == 0, err
    assert json.loads(printed)["other"] == json.loads((out / "tasks" / "other" / "metrics.json").read_text())
    code, printed, _ = ask("predict", out / "tasks" / "words", "w20 w41", "--json")
    assert code == 0
    code, _, err = ask(
        "train", "--backbone", backbone, "--task", other, "--data", data, "--method", "mpt", "--init-from",
        out / "shared", "--out", tmp_path / "third", "--set", "max_steps=1",
    )  # fmt: skip
    assert code == 0, err
    teacher = f"other={tmp_path / 'third'}"
    code, _, err = ask(*words(backbone, data, other, "--data", data, "--out", tmp_path / "t", "--teacher", teacher))
    assert code == 0, err


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ([], "--data is given 1 times for 2 tasks"),
        (["--data", "DATA", "--teacher", "words"], "give TASK=RUN"),
        (["--data", "DATA", "--teacher", "words=x", "--teacher", "words=y"], "--teacher 'words' is given twice"),
        (["--data", "DATA", "--teacher", "nobody=x"], "'nobody' is none of the tasks"),
        (["--data", "DATA", "--method", "hard_prompt"], "not trained in one fit"),
    ],
)
def test_what_is_refused(
    more: list[str], told: str, ask: Any, backbone: Path, data: Path, other: Path, tmp_path: Path
) -> None:
    given = [data if word == "DATA" else word for word in more]
    code, printed, err = ask(*words(backbone, data, other, "--out", tmp_path / "run", *given))
    assert (code, printed) == (1, "")
    assert err.splitlines()[-1].startswith("error: ")
    assert told in err.splitlines()[-1]
    assert not (tmp_path / "run").exists()
