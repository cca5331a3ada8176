"""`softprompt transfer`: another task's rows in the words of the first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..shared.commands import narrow


def test_transfer(ask: Any, runs: list[Path], data: Path, other: Path) -> None:
    common = [runs[0], "--task", other / "task.yaml", "--data", other]
    code, printed, _ = ask("transfer", *common, "--words", "w10=nay,w11=yea", "--json")
    assert code == 0
    found = json.loads(printed)
    own = json.loads((runs[0] / "metrics.json").read_text())["test"]
    assert found["source"]["accuracy"] == found["target"]["accuracy"] == own["accuracy"]
    assert found["source"]["split"] == "as trained"
    again = ["--source-data", data, "--source-task", data / "task.yaml"]
    code, printed, _ = ask("transfer", *common, "--words", "w10=nay,w11=yea", *again, "--json")
    assert json.loads(printed)["source"]["accuracy"] == own["accuracy"]
    code, printed, _ = ask("transfer", *common, "--words", "w10=nay,w11=yea", "--source-data", data, "--json")
    source = json.loads(printed)["source"]  # the prompt's own task, whatever the columns would be taken for
    assert (source["task"], source["accuracy"]) == ("words", own["accuracy"])
    code, printed, _ = ask("transfer", *common, "--words", "w10=yea, w11=nay", "--template", "target")
    assert code == 0
    assert narrow(printed)
    assert f"{1 - own['accuracy']:.3f}" in printed
    _, _, err = ask("transfer", runs[0], "--data", other, "--words", "w10=no,w11=yes")
    assert err.count("--text, --label choose others") == 1
