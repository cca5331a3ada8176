"""Progress: lines where there is no terminal, a note and a total that come later, and nothing where it is not shown."""

from __future__ import annotations

import pytest

from softprompt import progress
from softprompt.progress import Progress


def work(shown: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_EVERY", 0.0)
    told = Progress(shown)
    told.say("a line [red]with markup[/] and \x1b an escape")
    with told.work("training", 4, "steps") as tick:
        tick()
        tick(2, note="loss 0.5")
        tick(1, total=5)


def test_lines_hold_what_was_said_and_done(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    work(True, monkeypatch)
    out, err = capsys.readouterr()
    said, *lines = err.splitlines()
    assert (out, said) == ("", r"a line [red]with markup[/] and \x1b an escape")
    steps = [line.split(",")[0].split(" in ")[0] for line in lines]
    assert steps == [f"training: {done} steps" for done in ("1/4", "3/4", "4/5", "4/5")]
    assert [line.endswith("  loss 0.5") for line in lines] == [False, True, True, True]


def test_nothing_is_written_where_it_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    work(False, monkeypatch)
    assert capsys.readouterr() == ("", "")
