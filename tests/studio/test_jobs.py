"""Commands in processes of their own: one after another, stopped as at Ctrl-C, and none left behind."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.studio.jobs import Jobs

VERSION = ["softprompt", "--version"]
FAILS = ["softprompt", "predict", "no such run", "a text"]
SLEEPER = """
import signal, sys, time
def leave(*_):
    print("written")
    sys.exit(130)
signal.signal(signal.SIGTERM, leave)
print("ready")
time.sleep(60)
"""


@pytest.fixture
def sleeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return ["sleeper"]


def test_commands_follow_one_another_until_one_fails() -> None:
    job = Jobs().begin("a", [VERSION, FAILS, VERSION])
    assert job.wait(60)
    assert job.state == "failed"
    assert job.said[0].startswith("softprompt ")
    assert "no such run" in job.last
    assert len(job.said) == 2
    assert job.shown[1] == "softprompt predict 'no such run' 'a text'"


def test_a_command_that_cannot_be_begun_has_failed() -> None:
    jobs = Jobs()
    job = jobs.begin("a", [["softprompt", "a\0b"], VERSION])
    assert job.wait(60)
    assert (job.state, job.last) == ("failed", "it cannot be begun: embedded null byte")
    assert jobs.running() == []


def test_a_job_that_is_stopped_leaves_as_at_ctrl_c_and_the_next_command_is_not_begun(
    sleeper: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("softprompt.studio.jobs._LEAVING", 60)  # a busy machine is slow to wake what sleeps
    jobs = Jobs()
    job = jobs.begin("a", [sleeper, VERSION])
    while job.last != "ready":
        time.sleep(0.02)
    assert jobs.running() == ["a"]
    with pytest.raises(SoftPromptError, match="at work already"):
        jobs.begin("a", [VERSION])
    assert jobs.end() == ["a"]
    assert (job.state, job.last) == ("stopped", "written")
    assert jobs.end() == []
