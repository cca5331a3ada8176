"""`softprompt discretise`: an instruction as text, and what that costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

TEXT = "w30 w41 w52"


def test_discretise(ask: Any, backbone: Path, data: Path, tmp_path: Path) -> None:
    run, common = tmp_path / "run", ["--data", data, "--task", data / "task.yaml"]
    code, _, err = ask(
        "train", "--backbone", backbone, *common, "--method", "instruction", "--out", run, "--set", f"text={TEXT}",
        "--set", "max_steps=1", "--set", "learning_rate=0.001",
    )  # fmt: skip
    assert code == 0, err
    code, printed, _ = ask("discretise", run, *common, "--json")
    assert code == 0
    told = json.loads(printed)
    assert told["text"] == TEXT
    assert told["cost"] == pytest.approx(told["before"]["accuracy"] - told["after"]["accuracy"])
    assert [row["word"] for row in told["rows"]] == TEXT.split()
    code, printed, _ = ask("discretise", run, *common)
    assert code == 0
    assert f"text: '{TEXT}'" in printed
    assert "as text" in printed


def test_a_prompt_without_a_text_is_refused_before_its_rows_are_asked_for(ask: Any, trained: Path) -> None:
    code, printed, err = ask("discretise", trained, "--data", "nowhere.csv")
    assert (code, printed, len(err.splitlines())) == (1, "", 1)
    assert "trains no task text" in err
