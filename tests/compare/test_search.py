"""A search over a planted landscape: what is found, in which order it is tried, and what a kill changes: nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from softprompt.compare.cells import Cell, LoadedTasks
from softprompt.compare.executor import Event, Paused
from softprompt.compare.halving import is_cut
from softprompt.compare.here import HereExecutor
from softprompt.compare.ranges import typed_ranges
from softprompt.compare.search import Search, Searching
from softprompt.compare.study import Trial
from softprompt.errors import Interrupted, SoftPromptError
from softprompt.files.places import JOURNAL
from softprompt.progress import Progress
from softprompt.training.finished import RunMetrics

from ..shared.tables_of_runs import Bench

BASE = Cell(name="", folder="", backbone="llama", method="prompt_tuning", seed=7, training_options={"epochs": 3})
OVER = ["learning_rate=1e-4..10:log", "num_virtual_tokens=1,5,20"]
DEFAULT, BEST = 0.03, 1.0  # of the rate


def rate_of(cell: Cell) -> float:
    given = cell.training_options.get("learning_rate", DEFAULT)
    assert isinstance(given, float)
    return given


def hill(cell: Cell) -> float:
    """Highest at a rate of 1 with five virtual tokens; each fold is as much harder as the one before."""
    length = str(cell.method_options.get("num_virtual_tokens", 20))
    fold = 0 if cell.fold is None else cell.fold.place
    return 0.9 - 0.1 * abs(math.log10(rate_of(cell) / BEST)) - 0.05 * (length != "5") - 0.01 * fold


def measured(value: float) -> dict[str, Any]:
    return {"accuracy": value, "interval": [value - 0.02, value + 0.02], "rows": 100}


@dataclass
class Land:
    """What trains cells in no time: the figures of a cell follow from its options.

    Attributes:
        held_out: a cell's figure on the rows that decide.
        other: its figure on the rows that must not.
        fail: whether a cell fails.
        promise: what a cell's curve comes to at the rung.
        stop_after: so many cells, after which the process is gone.
    """

    held_out: Callable[[Cell], float] = hill
    other: Callable[[Cell], float] = lambda cell: 0.5
    fail: Callable[[Cell], bool] = lambda cell: False
    promise: Callable[[Cell], float] = hill
    stop_after: int = 10**6
    stop: type[BaseException] = SystemExit
    done: list[Cell] = field(default_factory=list)
    cells: dict[str, Cell] = field(default_factory=dict)
    halfway: dict[str, Cell] = field(default_factory=dict)

    def do(self, cell: Cell) -> None:
        if self.stop_after == len(self.done):
            raise self.stop("killed")
        if self.fail(cell):
            raise SoftPromptError("the loss is not finite")
        self.done.append(cell)
        finished = cell.folder in self.cells
        self.halfway[cell.folder] = cell
        if cell.pause is not None and not finished:
            raise Paused("at the rung")
        self.cells[cell.folder] = cell

    def curve(self, folder: Path) -> list[dict[str, Any]]:
        cell = self.halfway[str(folder)]
        return [{"accuracy": value} for value in (*[self.promise(cell)] * 4, 1.0)]

    def read(self, path: Path) -> RunMetrics:
        cell = self.cells[str(path.parent)]
        assert cell.fold is not None
        plain = cell.fold.folds == 1
        deciding, other = measured(self.held_out(cell)), measured(self.other(cell))
        return RunMetrics.of(
            {
                "task": "words",
                "method": cell.method,
                "backbone": cell.backbone,
                "seed": cell.seed,
                "metric": "accuracy",
                "test": other if plain else deciding,
                "validation": deciding if plain else other,
                "trained_parameters": 1,
                "trained_head_parameters": 0,
                "stored_parameters": 1,
                "stored_bytes": 1,
                "train_seconds": 30.0,
                "rows_per_second": None,
                "peak_memory_bytes": 1,
                "versions": {},
                "protocol": "one file",
                "readout": {},
                "options": {"method": {"num_virtual_tokens": 20}, "training": {"learning_rate": DEFAULT}},
                "history": [],
            },
            path,
        )


def search(folder: Path, **changes: Any) -> Search:
    folder.mkdir(exist_ok=True)
    plain = Search(BASE, typed_ranges(OVER, BASE), folds=1, trials=30, minutes=None, workers=1, folder=folder)
    return replace(plain, **changes)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    def begin(land: Land, wanted: Search, asked: dict[str, Any] | None = None) -> Any:
        for place in ("search", "tried"):
            monkeypatch.setattr(f"softprompt.compare.{place}.read_metrics", land.read)
        monkeypatch.setattr("softprompt.compare.tried.curve", land.curve)
        return Searching(wanted, asked or {"task": "words"}, HereExecutor(land.do), Progress(False)).run()

    return begin


@pytest.mark.parametrize("folds", [1, 3])
def test_the_top_of_the_hill_is_found_and_the_default_is_tried_first(tmp_path: Path, run: Any, folds: int) -> None:
    land = Land()
    found = run(land, search(tmp_path, folds=folds))
    first = land.done[:folds]
    assert [(cell.method_options, cell.training_options) for cell in first] == [({}, {"epochs": 3})] * folds
    assert [cell.fold for cell in land.done[: 2 * folds]] == [(place, folds) for place in range(folds)] * 2
    assert found.trials[0].values == {"learning_rate": DEFAULT, "num_virtual_tokens": "20"}
    assert len(found.trials) == 30
    assert len(land.done) == 30 * folds
    assert found.values["num_virtual_tokens"] == "5"
    assert 0.3 < found.values["learning_rate"] < 3
    means = [one.mean for one in found.trials]
    assert found.choice.place == means.index(max(means))
    assert found.trials[0].mean == pytest.approx(hill(BASE) - 0.01 * (folds - 1) / 2)
    assert found.seconds == 30 * 30 * folds


def test_the_rows_that_must_not_decide_never_do(tmp_path: Path, run: Any) -> None:
    """Planted: the worst by the deciding rows is by far the best by the others."""
    low = Land(other=lambda cell: 1 - hill(cell))
    found = run(low, search(tmp_path / "plain"))
    same = run(Land(), search(tmp_path / "same"))
    assert found.trials == same.trials
    assert found.choice == same.choice
    folds = run(Land(other=lambda cell: 1 - hill(cell)), search(tmp_path / "folds", folds=2, trials=12))
    assert folds.trials == run(Land(), search(tmp_path / "folds2", folds=2, trials=12)).trials


def test_a_flat_land_keeps_the_default(tmp_path: Path, run: Any) -> None:
    found = run(Land(held_out=lambda cell: 0.5 + 1e-4 * hill(cell)), search(tmp_path))
    assert (found.choice.place, found.values) == (0, {})
    assert found.choice.best != 0


@pytest.mark.parametrize(
    ("folds", "workers", "after", "halving"),
    [(1, 1, 9, False), (1, 3, 8, False), (2, 4, 13, False), (1, 1, 9, True), (1, 3, 10, True), (2, 1, 9, True)],
)
@pytest.mark.parametrize("stop", [SystemExit, KeyboardInterrupt])
def test_killed_and_gone_on_with_it_is_the_undisturbed_search(
    tmp_path: Path, run: Any, folds: int, workers: int, after: int, halving: bool, stop: type[BaseException]
) -> None:
    """In the middle of a trial, of several that run side by side; a line of the journal is cut off, too."""
    changes = {"folds": folds, "workers": workers, "trials": 14, "halving": halving}
    expected = run(Land(), search(tmp_path / "plain", **changes))
    land = Land(stop_after=after, stop=stop)
    with pytest.raises((SystemExit, Interrupted)):
        run(land, search(tmp_path / "killed", **changes))
    with (tmp_path / "killed" / JOURNAL).open("a") as journal:
        journal.write('{"op_code":2,"wor')
    land.stop_after = after + 3
    with pytest.raises((SystemExit, Interrupted)):
        run(land, search(tmp_path / "killed", **changes))
    land.stop_after = 10**6
    found = run(land, search(tmp_path / "killed", **changes))
    assert untimed(found) == untimed(expected)
    assert found.choice == expected.choice
    more = run(land, search(tmp_path / "killed", **{**changes, "trials": 17}))
    assert untimed(more)[:14] == untimed(expected)
    assert len(more.trials) == 17


def untimed(found: Any) -> list[Trial]:
    """The trials but for the seconds of those that were cut, which are a clock's."""
    return [replace(one, seconds=0.0) if one.cut else one for one in found.trials]


@pytest.mark.parametrize(("folds", "workers"), [(1, 1), (1, 4), (3, 1)])
def test_trials_that_promise_less_go_no_further(tmp_path: Path, run: Any, folds: int, workers: int) -> None:
    """Each is judged by the trials before it; those that are cut cost no more, are told, and win nothing."""
    coarse = lambda cell: round(hill(cell) * 16) / 16  # noqa: E731  (equal values, as of few rows)
    land = Land(promise=coarse, held_out=coarse if folds > 1 else hill)
    found = run(land, search(tmp_path, folds=folds, workers=workers, halving=True))
    values = [one.early for one in found.trials]
    assert [one.cut for one in found.trials] == [is_cut(values[: place + 1]) for place in range(30)]
    cut = [one for one in found.trials if one.cut]
    assert 5 <= len(cut) < 20
    assert all(one.scores == () and not one.line for one in cut)
    assert len(land.cells) == (30 - len(cut)) * folds + len(cut) * (folds // 2)
    assert sum(cell.pause is not None for cell in land.done) == (29 if folds == 1 else 0), (
        "the default is never held up"
    )
    for one in found.trials:
        whole = one.scores if folds > 1 and not one.cut else None
        assert whole is None or one.early == pytest.approx(sum(whole[: folds // 2]) / (folds // 2))
    assert found.trials[found.choice.place].scores
    assert 0.3 < found.values["learning_rate"] < 3


def test_a_trial_whose_curve_cannot_be_judged_goes_on(tmp_path: Path, run: Any) -> None:
    found = run(Land(promise=lambda cell: math.nan if rate_of(cell) > 1 else 0.5), search(tmp_path, halving=True))
    assert not any(one.cut for one in found.trials)
    failing = run(Land(fail=lambda cell: rate_of(cell) > 0.5), search(tmp_path / "other", halving=True))
    assert {one.line for one in failing.trials if not one.scores and not one.cut} == {"the loss is not finite"}
    with pytest.raises(SoftPromptError, match=r"another halving \(True then, None now\)"):
        run(Land(), search(tmp_path, halving=False))


def test_a_trial_that_fails_is_told_and_counts_as_tried(tmp_path: Path, run: Any) -> None:
    found = run(Land(fail=lambda cell: rate_of(cell) > 0.5), search(tmp_path))
    failed = [one for one in found.trials if not one.scores]
    assert failed
    assert {one.line for one in failed} == {"the loss is not finite"}
    assert len(found.trials) == 30
    assert found.choice.place > 0
    assert found.values["learning_rate"] <= 0.5
    with pytest.raises(SoftPromptError, match="the default itself failed: the loss is not finite"):
        run(Land(fail=lambda cell: True), search(tmp_path / "other"))


def test_minutes_are_those_of_the_workers(tmp_path: Path, run: Any) -> None:
    """Each cell takes half a minute: three minutes are six trials, and twelve with two workers."""
    timed = {"trials": None, "minutes": 3.0}
    assert len(run(Land(), search(tmp_path / "one", **timed)).trials) == 6
    assert len(run(Land(), search(tmp_path / "two", **timed, workers=2)).trials) == 13  # the first ran alone


class Telling(HereExecutor[Cell]):
    """Each cell has the same warning."""

    def events(self) -> Iterator[Event]:
        for event in super().events():
            if event.kind == "begun":
                yield Event(kind="told", job=event.job, line="warning: few rows")
            yield event


def test_what_every_trial_warns_of_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    land, said = Land(), list[str]()
    for place in ("search", "tried"):
        monkeypatch.setattr(f"softprompt.compare.{place}.read_metrics", land.read)
    show = Progress(False)
    monkeypatch.setattr(show, "say", said.append)
    Searching(search(tmp_path, trials=3), {}, Telling(land.do), show).run()
    assert [line.partition(": ")[2] for line in said if "few rows" in line] == ["warning: few rows"]
    assert sum("trial 2: " in line for line in said) == 1


def test_another_search_in_the_same_folder_is_refused(tmp_path: Path, run: Any) -> None:
    run(Land(), search(tmp_path, trials=2))
    with pytest.raises(SoftPromptError, match=r"a search with another folds \(1 then, 2 now\): give the same, or"):
        run(Land(), search(tmp_path, trials=2, folds=2))
    with pytest.raises(SoftPromptError, match="a search with another task"):
        run(Land(), search(tmp_path, trials=2), {"task": "others"})
    (tmp_path / JOURNAL).write_text("not a journal\n")
    with pytest.raises(SoftPromptError, match="the journal is damaged: restore it, or choose another --out"):
        run(Land(), search(tmp_path, trials=2))


def test_a_default_outside_of_the_ranges_is_still_what_is_compared_with(tmp_path: Path, run: Any) -> None:
    over = typed_ranges(["learning_rate=0.5..2:log", "num_virtual_tokens=5,20"], BASE)
    found = run(Land(), search(tmp_path, ranges=over, trials=12))
    assert found.trials[0].values == {"num_virtual_tokens": "20"}
    assert found.trials[0].mean == pytest.approx(hill(BASE))


def test_no_cell_of_a_trial_has_a_test_row(own: Bench, tmp_path: Path) -> None:
    base, tasks = own.planned(tmp_path).cells[0], LoadedTasks()
    test = {row.fields["text"] for row in tasks.of(base).splits(base.seed).test}
    assert test
    for folds in (1, 4):
        for cell in search(tmp_path, cell=base, folds=folds).cells_of(Trial(0, {}), ()):
            splits = tasks.of(cell).splits(cell.seed)
            rows = {row.fields["text"] for row in (*splits.train, *splits.validation, *splits.test)}
            assert rows
            assert not rows & test
            assert bool(splits.test) == (folds > 1)
