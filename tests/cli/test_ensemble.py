"""`softprompt ensemble`: each member as it was measured, and both ensembles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def test_ensemble(ask: Any, runs: list[Path], data: Path) -> None:
    common = ["--task", data / "task.yaml", "--data", data]
    code, printed, _ = ask("ensemble", *runs, *common, "--json")
    assert code == 0
    found = json.loads(printed)
    own = [json.loads((run / "metrics.json").read_text())["test"] for run in runs]
    assert [member["accuracy"] for member in found["members"]] == [metrics["accuracy"] for metrics in own]
    assert [member["interval"] for member in found["members"]] == [metrics["interval"] for metrics in own]
    assert [member["seed"] for member in found["members"]] == [1, 2, 3]
    code, printed, _ = ask("ensemble", runs[0], *common, "--json")
    assert json.loads(printed)["vote"]["accuracy"] == own[0]["accuracy"]
    assert "1 prompt on words" in ask("ensemble", runs[0], *common)[1]
    code, printed, _ = ask("ensemble", *(run / "prompt" for run in runs), *common)
    assert code == 0
    assert all(word in printed for word in ("majority vote", "mean probability", "95 % interval"))
