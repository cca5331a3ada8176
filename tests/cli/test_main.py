"""The program: how it is left after a fault of use or an interruption."""

from __future__ import annotations

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
