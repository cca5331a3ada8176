"""The demo: what it says once its runs are there, interrupted in one line, its type and device handed on."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

import softprompt as sp
from softprompt import demo
from softprompt.errors import SoftPromptError
from softprompt.explain.comparison import Sample

from .shared.run_folders import cell
from .shared.runs import finished


def test_the_best_is_named_and_each_run_has_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [
        finished(method=method, test={"accuracy": value, "interval": [value - 0.1, value + 0.1], "rows": 200})
        for method, value in (("head_only", 0.5), ("capt", 0.75), ("prompt_tuning", 0.625))
    ]
    samples = [Sample("a text", "good", {"capt": "bad"})]
    cell(tmp_path / "capt", "capt")
    monkeypatch.setattr(demo, "_runs", lambda *_: (runs, samples))
    demo.demo(tmp_path, seed=87, dtype="auto", device=None)
    printed = capsys.readouterr().out
    assert "0.750 [0.650, 0.850]" in printed
    assert f"softprompt predict {tmp_path}/capt" in printed
    page = (tmp_path / "comparison.html").read_text(encoding="utf-8")
    assert all(run.method in page for run in runs)
    assert "a text" in page
    pages, studio = printed.splitlines()[-3:-1], printed.splitlines()[-1]
    assert [line.split(": ")[1] for line in pages] == [f"{tmp_path}/comparison.html", f"{tmp_path}/capt/report.html"]
    assert studio.endswith(f".venv/bin/softprompt studio {tmp_path}")


def test_the_demo_can_be_interrupted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stop(*_: Any) -> Any:
        raise sp.Interrupted("stopped at step 3")

    monkeypatch.setattr(demo, "_runs", stop)
    monkeypatch.setattr("sys.argv", ["demo"])
    with pytest.raises(SystemExit) as ended:
        demo.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted: stopped at step 3\n"


def test_the_demo_hands_both_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any) -> None:
    def load(name: str, **given: Any) -> Any:
        raise SoftPromptError(f"{name} {given}")

    monkeypatch.setattr("softprompt.backbones.load.load_backbone", load)
    monkeypatch.setattr("sys.argv", ["demo", "--out", str(tmp_path), "--dtype", "float32", "--device", "cpu"])
    with pytest.raises(SystemExit) as stop:
        demo.main()
    assert stop.value.code == 1
    assert "{'dtype': 'float32', 'device': 'cpu'}" in capsys.readouterr().err


def test_make_demo_hands_both_on() -> None:
    def asked(*words: str) -> str:
        run = subprocess.run(
            ["make", "-n", "demo", *words], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True
        )
        return next(line for line in run.stdout.splitlines() if "softprompt.demo" in line)

    assert asked("DTYPE=float32", "DEVICE=cuda:1").endswith("--dtype float32 --device cuda:1")
    assert asked().split()[-2:] == ["--dtype", "auto"]
