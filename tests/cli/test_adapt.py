"""`softprompt adapt`: LM adaptation, resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..shared.models import model, tokenizer


def test_adapt(ask: Any, tmp_path: Path) -> None:
    model("t5").save_pretrained(tmp_path / "t5")
    tokenizer().save_pretrained(tmp_path / "t5")
    lines = [" ".join(f"w{20 + (start + step) % 70}" for step in range(9)) for start in range(60)]
    (tmp_path / "corpus.txt").write_text("\n".join(lines))
    common = ["adapt", "--backbone", tmp_path / "t5", "--text", tmp_path / "corpus.txt", "--batch-size", 4]
    code, printed, _ = ask(*common, "--steps", 3, "--out", tmp_path / "lm")
    assert code == 0
    assert "held-out loss" in printed
    code, printed, _ = ask(*common, "--steps", 3, "--out", tmp_path / "lm", "--resume", "--json")
    assert code == 0
    assert json.loads(printed)["history"][-1]["step"] == 3
    code, printed, _ = ask("methods", "--backbone", tmp_path / "lm" / "model")
    assert code == 0
    for words, told in (("0,x", "--keep-at '0,x': give whole numbers"), ("0,9", "step 9 is beyond the 3 steps")):
        code, _, err = ask(*common, "--steps", 3, "--out", tmp_path / "other", "--keep-at", words)
        assert (code, err.count("error:")) == (1, 1)
        assert told in err
    code, printed, _ = ask(*common, "--steps", 3, "--out", tmp_path / "curve", "--keep-at", "0,2")
    assert code == 0
    kept = [line for line in printed.splitlines() if ", kept as " in line]
    assert [line.split(":")[0] for line in kept] == ["after 0 steps", "after 2 steps"]
    assert [line.split(", kept as ")[1] for line in kept] == [f"{tmp_path}/curve/kept/step-{step}" for step in (0, 2)]
    for folder in ("kept/step-2", "model"):
        assert ask("methods", "--backbone", tmp_path / "curve" / folder)[0] == 0
