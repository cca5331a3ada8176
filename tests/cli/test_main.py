"""The program: how it is left after a fault of use or an interruption."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from typing import Any

import pytest

import softprompt as sp


def test_usage_faults_exit_with_2(ask: Any) -> None:
    assert ask("train")[0] == 2
    assert ask("nonsense")[0] == 2


@pytest.mark.parametrize(("told", "line"), [("at step 3", "interrupted: at step 3"), ("", "interrupted")])
def test_an_interruption_is_one_line_and_exit_code_130(
    told: str, line: str, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise sp.Interrupted(told) if told else KeyboardInterrupt

    monkeypatch.setattr("softprompt.cli.tasks.emit", stop)
    code, out, err = ask("tasks", "--json")
    assert (code, out, err) == (130, "", f"{line}\n")


def test_the_version_is_told_and_h_is_help(ask: Any) -> None:
    assert ask("--version") == (0, f"softprompt {sp.__version__}\n", "")
    assert importlib.metadata.version("softprompt") == sp.__version__
    for words in ((), ("train",), ("explain", "nearest")):
        short, long = ask(*words, "-h"), ask(*words, "--help")
        assert short == long
        assert short[0] == 0
        assert "-h, --help" in short[1]


def test_the_module_is_the_program_and_a_shell_completes_verbs_and_options() -> None:
    """In child processes: the first looks at `__main__`, the second at what a shell asks."""
    told = subprocess.run([sys.executable, "-m", "softprompt", "--version"], capture_output=True, text=True, check=True)
    assert told.stdout == f"softprompt {sp.__version__}\n"
    for typed, expected in (("softprompt tra", "train\ntransfer\n"), ("softprompt train --learn", "--learning-rate\n")):
        asked = {
            "_SOFTPROMPT_COMPLETE": "complete_bash",
            "COMP_WORDS": typed,
            "COMP_CWORD": str(len(typed.split()) - 1),
        }
        code = "import sys; sys.argv[0] = 'softprompt'; from softprompt.cli.main import main; main()"
        words = [sys.executable, "-c", code]
        told = subprocess.run(words, capture_output=True, text=True, env={**os.environ, **asked}, check=False)
        assert told.stdout == expected, told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["trian"], "Did you mean 'train'"),
        (["train", "--lr", "1"], "did you mean --learning-rate?"),
        (["train", "--num-epochs", "1"], "did you mean --epochs?"),
        (["train", "--prompt-length", "1"], "did you mean --set num_virtual_tokens=...?"),
        (["predict", "--bathc-size", "1"], "did you mean --batch-size?"),
        (["predict", "--zork", "1"], "No such option: --zork\n"),
    ],
)
def test_a_mistyped_verb_or_option_finds_its_name(words: list[str], told: str, ask: Any) -> None:
    code, out, err = ask(*words)
    assert (code, out) == (2, "")
    assert told in err
