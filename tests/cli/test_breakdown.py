"""What stands behind a score, printed: within the width, and nothing of it where it was not asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from softprompt.cli.breakdown import tell_breakdown
from softprompt.evaluation.breakdown import breakdown
from softprompt.readouts import Outcome
from softprompt.tasks import Row, Task


def told(task: Task, rows: list[Row], answers: list[int], capsys: pytest.CaptureFixture[str]) -> str:
    count = len(task.labels)
    found = [Outcome(one, tuple(0.5 if n == one else 0.5 / (count - 1) for n in range(count)), 1.0) for one in answers]
    tell_breakdown(breakdown(task, rows, found, "test"), task)
    printed = capsys.readouterr().out
    assert all(len(line) <= 100 for line in printed.splitlines())
    return printed


def test_few_classes_are_a_square(capsys: pytest.CaptureFixture[str]) -> None:
    task = Task(name="t", template="{text} {mask}", labels={"0": "terrible", "1": "great"})
    rows = [Row({"text": "[red]a film\x1b[31m"}, n % 2, file="/x/t.csv", line=n + 2) for n in range(4)]
    printed = told(task, rows, [0, 0, 0, 1], capsys)
    assert "label / answer" in printed
    assert "1 (great)" in printed
    assert "always answering 0 (terrible) would score 0.500 (accuracy)" in printed
    assert "t.csv, line 3" in printed
    assert "[red]a film\\x1b[31m" in printed  # text, and neither markup nor obeyed
    assert "/x/" not in printed


def test_many_classes_are_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    task = Task(name="t", template="{text} {mask}", labels=[f"a class of a long name, the {n}th" for n in range(30)])
    rows = [Row({"text": "w " * 300}, n % 30, file="a_file_of_a_long_name_too.csv", line=n) for n in range(60)]
    printed = told(task, rows, [(n * 7) % 30 for n in range(60)], capsys)
    assert "10 of 30 classes: those with the most errors" in printed
    assert "confused most" in printed
    assert "label / answer" not in printed


def test_train_and_evaluate_tell_it_unless_they_are_quiet(ask: Any, backbone: Path, data: Path, tmp_path: Path) -> None:
    given = ["--backbone", backbone, "--task", data / "task.yaml", "--data", data, "--method", "hard_prompt"]
    code, printed, err = ask("train", *given, "--out", tmp_path / "run")
    assert code == 0, err
    for word in ("by class (test)", "label / answer", "always answering", "surest mistakes", "test.tsv, line"):
        assert word in printed
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert found["breakdown"]["split"] == "test"
    assert found["breakdown"]["majority"]["score"] == 0.5
    card = (tmp_path / "run" / "prompt" / "README.md").read_text()
    assert "Always answering the most frequent class would reach 0.500" in card
    code, printed, _ = ask("evaluate", tmp_path / "run", "--data", data, "--json")
    assert code == 0
    assert json.loads(printed)["breakdown"] == found["breakdown"]
    code, printed, _ = ask("evaluate", tmp_path / "run", "--data", data, "--quiet")
    assert (code, "by class" in printed, "accuracy" in printed) == (0, False, True)
