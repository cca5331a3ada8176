"""Progress: lines where there is no terminal, a note and a total that come later, and nothing where it is not shown."""

from __future__ import annotations

import re
import sys
from types import SimpleNamespace
from typing import Any

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


class Shown:
    """A kernel's display: what each output holds now, and how often it was drawn."""

    def __init__(self) -> None:
        self.outputs: list[dict[str, str]] = []
        self.execution_count, self.drawn = 1, 0

    def display(self, data: dict[str, str], **_: Any) -> Shown:
        self.outputs.append(data)
        self.drawn += 1
        return self

    def update(self, data: dict[str, str], **_: Any) -> None:
        self.outputs[-1] = data
        self.drawn += 1


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Shown:
    shown = Shown()
    monkeypatch.setattr(progress, "notebook", lambda: shown)
    monkeypatch.setattr(progress, "import_module", lambda name: shown)
    return shown


def test_a_notebook_has_one_output_that_is_drawn_anew(cell: Shown, capsys: pytest.CaptureFixture[str]) -> None:
    told = Progress()
    told.say("rows <b>")
    with told.work("training", 1000, "steps") as tick:
        for _ in range(1000):
            tick(note="loss 0.5")
    with told.work("test", 0, "rows") as tick:
        tick(3, total=3)
    (output,) = cell.outputs
    assert re.sub(r"in [\d.]+ s", "in 0 s", output["text/plain"]).splitlines() == [
        "rows <b>", "training: 1000/1000 steps in 0 s  loss 0.5", "test: 3/3 rows in 0 s"
    ]  # fmt: skip
    assert "rows &lt;b&gt;" in output["text/html"]
    assert output["text/html"].count('<progress max="1" value="1.0000"') == 2
    assert cell.drawn < 20
    assert capsys.readouterr() == ("", "")


def test_a_cell_that_runs_later_has_an_output_of_its_own(cell: Shown) -> None:
    told = Progress()
    told.say("first")
    cell.execution_count = 2
    told.say("second")
    assert [output["text/plain"] for output in cell.outputs] == ["first", "second"]


def test_a_shell_without_a_kernel_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    assert progress.notebook() is None
    for kernel, found in ((None, False), ("kernel", True)):
        shell = SimpleNamespace(kernel=kernel)
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda shell=shell: shell))
        assert (progress.notebook() is shell) == found
