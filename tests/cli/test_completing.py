"""What Tab completes, asked as a shell asks, in child processes that import no torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from softprompt.cli.completing import backbones_by_name, methods_by_name, tasks_by_name
from softprompt.methods.registry import methods
from softprompt.tasks import Task

_ASK = """
import sys
sys.argv[0] = "softprompt"
from softprompt.cli.main import main
try:
    main()
finally:
    heavy = {"torch", "transformers", "datasets", "pandas"} & set(sys.modules)
    print("heavy:", *sorted(heavy), file=sys.stderr)
"""


def completed(*words: str) -> list[str]:
    """What bash is told for the last word."""
    asked = {
        "_SOFTPROMPT_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(("softprompt", *words)),
        "COMP_CWORD": str(len(words)),
    }
    own = {**os.environ, **asked}
    told = subprocess.run([sys.executable, "-c", _ASK], capture_output=True, text=True, env=own, check=False)
    assert told.stderr == "heavy:\n", told.stderr
    return told.stdout.split()


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("ev",), ["evaluate"]),
        (("explain", "n"), ["nearest"]),
        (("train", "--method", "prompt"), ["prompt_tuning"]),
        (("train", "--backbone", "embedded"), ["embedded:gemma3-270m", "embedded:minilm"]),
        (("transfer", "runs/a", "--task", "mnli"), ["mnli", "mnli_mismatched"]),
        (("train", "--method", "capt", "--set", "init"), ["init_from=", "init_std="]),
        (("train", "--task", "rte", "--template", "p"), ["p-tuning", "pet"]),
        (("train", "--task", "no-such", "--template", "p"), []),
    ],
)
def test_a_shell_completes_names_without_torch(words: tuple[str, ...], expected: list[str]) -> None:
    assert completed(*words) == expected


def test_all_names_are_those_that_there_are() -> None:
    assert methods_by_name("") == sorted(methods(installed=False))
    assert tasks_by_name("") == sorted(Task.catalog())


def test_paths_are_completed_where_a_path_may_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tickets.yaml", "tickets.csv", "model.gguf"):
        (tmp_path / name).touch()
    (tmp_path / "tick").mkdir()
    monkeypatch.chdir(tmp_path)
    assert tasks_by_name("tick") == ["tick", "tickets.yaml"]
    assert backbones_by_name("mod") == ["model.gguf"]
    assert tasks_by_name(f"{tmp_path}/tickets") == [f"{tmp_path}/tickets.yaml"]
    assert tasks_by_name("none/there") == []
