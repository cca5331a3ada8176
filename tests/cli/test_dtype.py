"""`--dtype` and `--device`: on every verb that loads a backbone, with one line for what was taken or cannot be."""

from __future__ import annotations

import inspect
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from softprompt import demo
from softprompt.backbones.arithmetic import ProductRates
from softprompt.cli import main as cli
from softprompt.errors import SoftPromptError

ROOT = Path(__file__).parents[2]
LOADS = {"load_backbone", "open_prompt", "adapt", "_runs"}


def commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    for word, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{name} {word}".strip())
    if not hasattr(command, "commands"):
        yield name, command


DEMO = typer.Typer()
DEMO.command("demo")(demo.demo)
VERBS = dict([*commands(typer.main.get_command(cli.app)), ("demo", typer.main.get_command(DEMO))])


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_that_loads_a_backbone_takes_both(verb: str) -> None:
    named = {option.name for option in VERBS[verb].params}
    called = set(inspect.unwrap(VERBS[verb].callback).__code__.co_names)
    loads = "backbone" in named or bool(called & LOADS)
    assert loads == ({"dtype", "device"} <= named)
    assert loads == (verb not in ("tasks", "doctor", "explain similarity"))


def test_the_options_are_declared_once() -> None:
    declared = [
        path.name
        for path in sorted((ROOT / "src" / "softprompt").rglob("*.py"))
        if any(f"{name}: Annotated[" in path.read_text(encoding="utf-8") for name in ("dtype", "device"))
    ]
    assert declared == []


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--dtype", "zork"], "dtype 'zork' cannot be used: choose one of auto, float32, bfloat16, float16"),
        (["--device", "zork"], "device zork cannot be used"),
        (["--device", "cuda:7"], "device cuda:7 cannot be used"),
        (["--device", "meta"], "device meta cannot be used"),
        (["--device", ""], "cannot be used"),
    ],
)
def test_a_type_or_device_that_cannot_be_used_is_one_line(given: Any, told: str, ask: Any, trained: Any) -> None:
    for verb in (["predict", trained, "w20"], ["methods", "--backbone", trained]):
        code, printed, err = ask(*verb, *given)
        assert (code, printed) == (1, "")
        assert err.startswith("error: ")
        assert told in err
        assert len(err.splitlines()) == 1


def test_the_type_is_told_on_standard_error(
    ask: Any,
    trained: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates = ProductRates(float32=95, bfloat16=2.5, float16=5)
    monkeypatch.setattr("softprompt.backbones.arithmetic.measured_rates", lambda device: rates)
    code, printed, err = ask("predict", trained, "w20 w41", "--json", "--dtype", "bfloat16", "--device", "cpu")
    assert code == 0
    assert err == "bfloat16, as asked: this processor multiplies no bfloat16 (38x slower than float32 when tried)\n"
    assert json.loads(printed)[0]["label"] in ("0", "1")
    assert ask("predict", trained, "w20 w41")[2] == ""


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
        run = subprocess.run(["make", "-n", "demo", *words], cwd=ROOT, capture_output=True, text=True, check=True)
        return next(line for line in run.stdout.splitlines() if "softprompt.demo" in line)

    assert asked("DTYPE=float32", "DEVICE=cuda:1").endswith("--dtype float32 --device cuda:1")
    assert asked().split()[-2:] == ["--dtype", "auto"]
