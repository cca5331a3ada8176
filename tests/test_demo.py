"""What the demo says once its runs are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt import demo

from .shared.runs import finished


def test_the_best_is_named_and_each_run_has_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [
        finished(method=method, test={"accuracy": value, "interval": [value - 0.1, value + 0.1], "rows": 200})
        for method, value in (("head_only", 0.5), ("capt", 0.75), ("prompt_tuning", 0.625))
    ]
    monkeypatch.setattr(demo, "_runs", lambda *_: runs)
    demo.demo(tmp_path, seed=87, dtype="auto", device=None)
    printed = capsys.readouterr().out
    assert "0.750 [0.650, 0.850]" in printed
    assert f"softprompt predict {tmp_path}/capt" in printed
    assert all(run.method in (tmp_path / "comparison.html").read_text(encoding="utf-8") for run in runs)
