"""`train --resume --out RUN` alone goes on with what is recorded there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from softprompt.tasks import Task
from softprompt.training.run import train

from ..shared.runs import Interrupting


@pytest.fixture
def stopped(backbone: Path, data: Path, tmp_path: Path) -> Path:
    """A run that was interrupted at its third step."""
    from softprompt.backbones.load import load_backbone
    from softprompt.errors import Interrupted

    frozen = load_backbone(str(backbone), dtype="float32")
    own = Task.load(data / "task.yaml", data=data, seed=5, max_test_rows=7)
    options = {"max_steps": 6, "batch_size": 4, "learning_rate": 0.01}
    with pytest.raises(Interrupted, match="--resume .resume=True. goes on from it"):
        train(frozen, own, "capt", seed=5, output=tmp_path / "run", progress=Interrupting(3), **options)
    train(frozen, own, "capt", seed=5, output=tmp_path / "straight", progress=False, **options)
    return tmp_path / "run"


def test_nothing_else_need_be_said(stopped: Path, ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(stopped.parent)
    code, out, err = ask("train", "--resume", "--out", "run", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert (found["seed"], found["test"]["rows"], found["task"]) == (5, 7, "words")
    files = [stopped.parent / name / "prompt" / "prompt.safetensors" for name in ("run", "straight")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_what_is_given_counts_and_another_run_is_refused(stopped: Path, data: Path, ask: Any) -> None:
    code, _, err = ask("train", "--resume", "--out", stopped, "--set", "max_steps=9")
    assert (code, "training_options.max_steps (6 then, 9 now)" in err) == (1, True), err
    code, _, err = ask("train", "--resume", "--out", stopped, "--seed", 6)
    assert (code, "another seed (5 then, 6 now)" in err) == (1, True), err
    moved = data.rename(data.with_name("moved"))
    try:
        code, _, err = ask("train", "--resume", "--out", stopped)
        assert (code, "does not exist" in err) == (1, True), err
        code, _, err = ask("train", "--resume", "--out", stopped, "--data", moved)
        assert code == 0, err
    finally:
        moved.rename(data)


def test_a_run_of_an_earlier_version_says_what_it_lacks(stopped: Path, data: Path, ask: Any) -> None:
    path = stopped / "run.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in values.items() if name != "begun"}))
    code, _, err = ask("train", "--resume", "--out", stopped)
    assert (code, "records no data (it is of an earlier version, or its rows were in memory): give --data" in err) == (
        1,
        True,
    ), err
    code, _, err = ask("train", "--resume", "--out", stopped, "--data", data, "--max-test-rows", 7)
    assert code == 0, err


def test_without_a_run_what_is_left_out_is_named(ask: Any, tmp_path: Path, trained: Path) -> None:
    code, _, err = ask("train", "--out", tmp_path / "new", "--method", "capt")
    assert (code, "no --backbone, --task (or --data with a table): give it, or --resume" in " ".join(err.split())) == (
        2,
        True,
    ), err
    code, _, err = ask("train", "--resume", "--out", tmp_path / "new")
    assert (code, "no run to go on with" in err) == (1, True), err
    code, _, err = ask("train", "--out", trained, "--backbone", "b", "--task", "sst2", "--method", "capt")
    assert (code, "holds a run already: go on with it with --resume" in err) == (1, True), err


def test_a_layer_choice_by_its_own_name_and_by_set_is_one_line(ask: Any, tmp_path: Path) -> None:
    words = ["train", "--backbone", "b", "--task", "sst2", "--method", "capt", "--out", tmp_path / "new"]
    code, _, err = ask(*words, "--select", "all", "--set", "select=all")
    assert (code, "--select and --set select both give it" in err) == (1, True), err
    code, _, err = ask(*words[:6], "lora", *words[7:], "--select", "all", "--data", tmp_path)
    assert code == 1
