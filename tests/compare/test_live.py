"""A table while it is made: what a terminal shows, and what a file gets."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from softprompt.compare.cells import Cell
from softprompt.compare.executor import Event
from softprompt.compare.live import Board, LiveBoard
from softprompt.progress import duration

CELLS = {
    f"c{place}": Cell(name=f"c{place}", folder="", backbone="tiny", task="sst2", method=method, seed=place)
    for place, method in enumerate(["capt", "lora", "capt", "lora"])
}


def board(**changes: object) -> Board:
    values: dict[str, object] = {"cells": CELLS, "done": 1, "failed": 0, "left": {"c1", "c2", "c3"}}
    values |= {"workers": 2, "values": {"c0": 0.8}, "rows": {}}
    return Board(**{**values, **changes})  # type: ignore[arg-type]


def done(job: str, value: float | None) -> Event:
    return Event(kind="done", job=job, found={"metric": "accuracy", "value": value, "seconds": 1.0})


def test_counts_and_the_best_of_means(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    one = board()
    assert one.time_left() is None
    one.hear(Event(kind="begun", job="c1"))
    now[0] += 10
    one.hear(done("c1", 0.75))
    assert one.head() == "2 of 4 cells done, 0 running, about 10 s left"  # 2 cells of 10 s, 2 workers
    one.hear(Event(kind="begun", job="c2"))
    one.hear(Event(kind="begun", job="c3"))
    now[0] += 4
    assert one.time_left() == 6
    now[0] += 20
    assert one.head() == "2 of 4 cells done, 2 running", "those in hand take longer, and nobody knows how long"
    now[0] -= 20
    assert one.best() == ["sst2 on tiny: capt 0.800 (1 seed)"]
    one.hear(done("c2", 0.5))
    assert one.best() == ["sst2 on tiny: lora 0.750 (1 seed)"]
    one.hear(Event(kind="lost", job="c3", line="its worker ended"))
    assert (one.done, one.failed, one.left, one.running) == (3, 0, {"c3"}, {})
    one.hear(Event(kind="failed", job="c3", line="no"))
    assert one.head() == "3 of 4 cells done, 1 failed, 0 running"


def test_a_file_has_a_line_for_each_end() -> None:
    out = io.StringIO()
    with LiveBoard(board(), console=Console(file=out, width=200)) as live:
        for event in (
            Event(kind="begun", job="c1"),
            Event(kind="idle"),
            Event(kind="told", job="c1", line="warning: few rows"),
            Event(kind="told", job="c2", line="warning: few rows"),
            Event(kind="step", job="c1", work="training", done=3, total=10, unit="steps"),
            done("c1", 0.75),
            Event(kind="lost", job="c2", line="its worker ended (killed)"),
            Event(kind="failed", job="c2", line="cannot\nbe"),
        ):
            live.hear(event)
    lines = out.getvalue().splitlines()
    assert lines.pop(0) == "c1: warning: few rows"  # and not for each cell
    assert lines[0].startswith("c1: accuracy 0.750  (2 of 4 cells done, 0 running, about ")
    assert lines[1:] == ["c2: its worker ended (killed)", "failed: c2: cannot\\nbe"]


def test_a_terminal_shows_what_runs_in_100_columns() -> None:
    out = io.StringIO()
    cells = {"x" * 120: CELLS["c0"].model_copy(update={"name": "x" * 120, "method": "m" * 120}), **CELLS}
    one = board(cells=cells, values={"x" * 120: 0.5})
    with LiveBoard(one, console=Console(file=out, force_terminal=True, width=100, color_system=None)) as live:
        live.hear(Event(kind="begun", job="x" * 120))
        live.hear(Event(kind="begun", job="c1"))
        for count in (2, 5):
            live.hear(Event(kind="step", job="c1", work="training", done=count, total=10, unit="steps", note="0.7"))
    last = out.getvalue().split("\x1b[2K")[-1]
    shown = [line for line in last.splitlines() if "\x1b" not in line]
    assert max(map(len, shown)) <= 100
    assert "training 5/10" in last
    assert "best: sst2 on tiny" in last


def test_a_silent_one_shows_nothing() -> None:
    out = io.StringIO()
    with LiveBoard(board(), shown=False, console=Console(file=out, force_terminal=True)) as live:
        live.hear(done("c1", None))
    assert out.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.31, "0.3 s"), (9.96, "10 s"), (89, "89 s"), (720, "12 min"), (12_000, "3 h 20 min")]
)
def test_durations(seconds: float, told: str) -> None:
    assert duration(seconds) == told
