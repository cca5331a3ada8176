"""`softprompt explain layers`: one run, a folder of `select`, a page, and refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..shared.commands import narrow, refusal
from ..shared.runs import QUICK


def test_from_one_run_and_from_the_folder_of_select(ask: Any, backbone: Path, data: Path, tmp_path: Path) -> None:
    quick = [word for name, value in QUICK.items() for word in ("--set", f"{name}={value}")]
    common = ["--backbone", backbone, "--task", data / "task.yaml", "--data", data, *quick]
    code, _, err = ask("train", "--method", "spt", "--out", tmp_path / "one", *common)
    assert code == 0, err
    code, printed, _ = ask("explain", "layers", tmp_path / "one")
    assert code == 0
    assert narrow(printed)
    assert "embedding" in printed
    assert "left out" not in printed
    arms = ["--arms", "learned,last", "--keep", 1, "--seeds", 1]
    code, _, err = ask("select", "--method", "spt", "--out", tmp_path / "many", *common, *arms)
    assert code == 0, err
    page = tmp_path / "layers.html"
    code, printed, _ = ask("explain", "layers", tmp_path / "many", "--page", page)
    assert code == 0
    assert "left out: 1 run whose layers were not searched for" in printed
    assert page.is_file()
    code, printed, _ = ask("explain", "layers", tmp_path / "many", tmp_path / "one", "--json")
    found = json.loads(printed)
    kept = [
        json.loads((tmp_path / place / "metrics.json").read_text())["course"]["kept_layers"]
        for place in ("many/learned1-1", "one")
    ]
    assert found["tasks"][0]["share"] == [sum(layer in one for one in kept) / 2 for layer in range(3)]
    assert (found["tasks"][0]["runs"], found["controls"]) == (2, 1)


def test_other_folders_are_refused(trained: Path, tmp_path: Path) -> None:
    assert "no run whose layers were searched for" in refusal("explain", "layers", trained)
    assert "no such folder" in refusal("explain", "layers", tmp_path / "nowhere")
