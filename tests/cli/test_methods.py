"""`softprompt methods`: every method, and on a backbone its parameters and recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from softprompt.backbones.tunable import percentage

from ..shared.commands import narrow


def test_methods(ask: Any, backbone: Path) -> None:
    code, printed, _ = ask("methods", "--json", "--backbone", backbone)
    assert code == 0
    found = {m["name"]: m for m in json.loads(printed)}
    names = {"capt", "prompt_tuning", "p_tuning_v2", "deep_prompt", "hard_prompt", "head_only", "full_finetuning"}
    assert names <= set(found)
    assert found["capt"]["trained"] == found["capt"]["stored"] == 3 * 32
    size = sum(one.numel() for one in load_file(backbone / "model.safetensors").values())
    assert found["capt"]["tunable"] == 100 * 3 * 32 / size
    assert found["p_tuning_v2"]["stored"] == 2 * 3 * 20 * 2 * 8
    assert found["hard_prompt"]["trained"] == 0
    assert found["capt"]["recipe"]["source"]
    assert found["capt"]["recipe"]["measured_on"] == []
    unmeasured = {name for name, one in found.items() if one.get("recipe", {}).get("unmeasured_on_this_family")}
    assert {"capt", "deep_prompt", "prompt_tuning"} <= unmeasured
    assert not unmeasured & {"prefix_tuning", "hard_prompt", "head_only"}
    for words in (["methods"], ["methods", "--backbone", str(backbone)]):
        code, printed, _ = ask(*words)
        assert code == 0
        assert narrow(printed)
    rates = printed.split("learning rates unmeasured on this family:")[1].split()
    assert rates[rates.index("deep_prompt") + 1] == "1,"
    assert "hard_prompt" not in rates
    assert "tunable %" in printed
    assert percentage(100 * 3 * 32 / size) in printed
    assert "soft_words: 0 scalars here, for it trains the words of a task's template" in printed
