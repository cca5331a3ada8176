"""`softprompt evaluate --pooled`: a line for each number of pooled tokens, and the plain evaluation at none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..shared.commands import narrow, refusal


def test_a_table_by_the_number_of_pooled_tokens(ask: Any, backbone: Path, data: Path, tmp_path: Path) -> None:
    common = ["--task", data / "task.yaml", "--data", data]
    code, _, err = ask(
        "train", "--backbone", backbone, *common, "--method", "deep_prompt", "--out", tmp_path / "deep",
        "--set", "max_steps=2", "--set", "num_virtual_tokens=2",
    )  # fmt: skip
    assert code == 0, err
    code, printed, _ = ask("evaluate", tmp_path / "deep", *common, "--json")
    plain = json.loads(printed)
    code, printed, err = ask("evaluate", tmp_path / "deep", *common, "--pooled", "0,1,3", "--json")
    assert code == 0, err
    found = json.loads(printed)
    assert [one.pop("pooled") for one in found["pooled"]] == [0, 1, 3]
    assert [one.pop("cut_rows") for one in found["pooled"]] == [0, 0, 0]
    assert found["pooled"][0] == {name: plain[name] for name in found["pooled"][0]}
    assert found["pooled"][1]["loss"] != plain["loss"]
    assert {name: plain[name] for name in ("task", "split", "seed", "metric")}.items() <= found.items()
    code, printed, _ = ask("evaluate", tmp_path / "deep", *common, "--pooled", "0 1 2 3 4 10")
    assert code == 0
    assert narrow(printed)
    lines = [line.split("│") for line in printed.splitlines() if line.startswith("│")]
    assert [line[1].strip() for line in lines] == ["0", "1", "2", "3", "4", "10"]
    assert f"{plain['accuracy']:.3f} [" in lines[0][2]


def test_other_prompts_and_numbers_are_refused_before_a_model_is_loaded(trained: Path, data: Path) -> None:
    common = ["evaluate", trained, "--task", data / "task.yaml", "--data", data, "--backbone", "/no/such/model"]
    assert "this is a prompt of capt: train deep_prompt" in refusal(*common, "--pooled", "1")
    assert "--pooled 'x': give whole numbers with commas between, as 0,1,2,3,4,10" in refusal(*common, "--pooled", "x")
