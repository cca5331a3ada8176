"""`softprompt evaluate`: the figures of the run that was trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def test_evaluate(ask: Any, trained: Path, data: Path) -> None:
    common = ["--task", data / "task.yaml", "--data", data]
    metrics = json.loads((trained / "metrics.json").read_text())
    code, printed, _ = ask("evaluate", trained, *common, "--json")
    assert code == 0
    assert json.loads(printed)["accuracy"] == metrics["test"]["accuracy"]
    code, printed, _ = ask("evaluate", trained, *common)
    assert code == 0
    assert "95 % interval" in printed


def test_beams_are_refused_for_a_prompt_that_writes_nothing(ask: Any, trained: Path, data: Path) -> None:
    code, _, told = ask("evaluate", trained, "--task", data / "task.yaml", "--data", data, "--num-beams", "5")
    assert code == 1
    assert told.strip().splitlines()[-1].startswith("error: --num-beams and --length-penalty")
