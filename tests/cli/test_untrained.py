"""`softprompt evaluate` without a run: zero-shot, and a method's prompt before its first step."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def common(backbone: Path, data: Path) -> list[Any]:
    """A test file alone: there is no row to train on."""
    return ["evaluate", "--backbone", backbone, "--task", data / "task.yaml", "--data", data / "test.tsv"]


def test_a_test_file_alone(ask: Any, common: list[Any], backbone: Path, data: Path, tmp_path: Path) -> None:
    code, printed, err = ask(*common, "--method", "hard_prompt", "--json")
    assert code == 0, err
    found = json.loads(printed)
    assert found["untrained"] is True
    assert (found["method"], found["backbone"], found["split"]) == ("hard_prompt", backbone.name, "all")
    assert (found["rows"], found["left_out_rows"], found["seen_rows"]) == (20, 0, 0)
    assert [one["label"] for one in found["breakdown"]["classes"]] == ["0", "1"]
    # The same figures as those of the run that trains nothing.
    run = ["train", "--backbone", backbone, "--task", data / "task.yaml", "--data", data, "--method", "hard_prompt"]
    code, printed, err = ask(*run, "--out", tmp_path / "run", "--json")
    assert code == 0, err
    test = json.loads(printed)["test"]
    assert {name: found[name] for name in ("accuracy", "loss", "rows", "interval")} == {
        name: test[name] for name in ("accuracy", "loss", "rows", "interval")
    }
    # And on the part of one file that such a run is tested on.
    part = ["--data", data / "train.tsv", "--seed", 7]
    code, printed, err = ask(*run[:5], *run[7:], *part, "--out", tmp_path / "part", "--json")
    assert code == 0, err
    test = json.loads(printed)["test"]
    code, printed, err = ask(*common[:5], *part, "--method", "hard_prompt", "--json")
    assert (code, json.loads(printed)["loss"]) == (0, test["loss"]), err


def test_what_is_printed(ask: Any, common: list[Any]) -> None:
    code, printed, err = ask(*common, "--method", "hard_prompt")
    assert (code, "hard_prompt on words (test.tsv, 20 rows)" in printed) == (0, True), err
    assert "untrained" not in printed  # there is no other
    assert "draws" not in err
    code, printed, err = ask(*common, "--method", "capt")
    assert (code, "untrained capt on words (test.tsv, 20 rows)" in printed) == (0, True), err
    assert "draws" not in err
    code, printed, err = ask(*common, "--method", "p_tuning", "--set", "num_virtual_tokens=2")
    assert (code, "p_tuning starts from values that seed 13 draws" in err) == (0, True), err


def test_in_other_words(ask: Any, common: list[Any]) -> None:
    losses = []
    for words in ([], ["--template", "w9 {sentence} w8 {mask}"], ["--set", "max_length=20"]):
        code, printed, err = ask(*common, "--method", "hard_prompt", *words, "--json")
        assert code == 0, err
        losses.append(json.loads(printed)["loss"])
    assert losses[0] != losses[1]
    assert losses[0] == losses[2]


def test_a_table_alone(ask: Any, backbone: Path, data: Path, tmp_path: Path) -> None:
    table = tmp_path / "test.csv"
    table.write_text("id,note,kind\n" + "".join(f"{n},w20 w{30 + n} w{70 - n},w1{n % 2}\n" for n in range(20)))
    code, printed, err = ask(
        "evaluate", "--backbone", backbone, "--data", table, "--method", "hard_prompt", "--text", "note",
        "--template", "{note} w9 {mask}", "--json",
    )  # fmt: skip
    assert code == 0, err
    assert "text: note; label: kind" in err
    assert json.loads(printed)["rows"] == 20


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--method", "capts"], 1, "did you mean 'capt'?"),
        (["--method", "capt", "--set", "speed=9"], 1, "--set speed: no such option"),
        (["--method", "capt", "--template", "other"], 1, "no template 'other'"),
        (["--method", "hard_prompt", "--set", "calibration=median"], 1, "leave templates and calibration out"),
        (["--method", "capt", "--set", "readout=head"], 1, "linear head, which nothing has trained"),
        ([], 2, "no --method"),
    ],
)
def test_faults(words: list[str], code: int, message: str, ask: Any, common: list[Any]) -> None:
    found, _, err = ask(*common, *words)
    assert (found, message in " ".join(err.split())) == (code, True), err


def test_a_run_is_scored_as_it_was_trained(ask: Any, trained: Path, data: Path) -> None:
    code, _, err = ask("evaluate", trained, "--data", data, "--template", "{sentence} {mask}", "--method", "capt")
    assert (code, "leave --method, --template out, or RUN" in err) == (1, True), err
    code, _, err = ask("evaluate", "--data", data)
    assert (code, "no --backbone, --method: give RUN" in " ".join(err.split())) == (2, True), err
