"""What a search finds, beside the default and a grid of the same budget, by validation rows alone and by folds.

    python benchmarks/search.py --data FOLDER --out runs/search [--methods head_only ...]

FOLDER holds the published few-shot folders `SST-2`, `mr` and `trec`, each with its `16-13`, `16-21`, ... (LM-BFF). For
each task, draw of rows and method ten configurations are tried as `softprompt search` tries them, with halving or
without, and the ten of a grid, each time measured on the validation rows or on four folds. What each of these would
take, and the default, are then trained on all rows with two seeds and tested. Seconds are the processor's, of one
thread. Runs are kept under `--out`, and a stopped benchmark goes on where it was. Figures go to `--results`, by default
benchmarks/results/search.json, tables to search.md beside it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

from _common import keep, read

RESULTS = Path(__file__).parent / "results" / "search.json"
KEY = ("method", "task", "draw", "strategy", "folds")
BACKBONE, TASKS = "embedded:minilm", {"sst2": "SST-2", "mr": "mr", "trec": "trec"}
TRIALS, SEEDS, TESTED, TEST_ROWS = 10, (13, 21, 42), (13, 21), 500


class Searched(NamedTuple):
    """What is searched of a method.

    Attributes:
        over: as `--over` takes it.
        grid: values of each option; with the default there are ten configurations.
        training: that all have.
        cases: a strategy, the folds of a trial, draws of rows, and tasks.
    """

    over: tuple[str, ...]
    grid: dict[str, tuple[Any, ...]]
    training: dict[str, Any]
    cases: tuple[tuple[str, int, tuple[int, ...], tuple[str, ...]], ...]


TIMED = "sst2"  # every training of it computes all of its states, so that seconds can be compared
SEARCH, HALVED, GRID = "search", "search with halving", "grid"
METHODS = {
    "head_only": Searched(
        ("head_learning_rate=1e-4..1:log", "pooling=auto,first"),
        {"head_learning_rate": (1e-4, 1e-3, 1e-2, 0.1, 1.0), "pooling": ("auto", "first")},
        {},
        (
            (SEARCH, 1, SEEDS[:1], tuple(TASKS)),
            (SEARCH, 4, SEEDS[:1], tuple(TASKS)),
            (GRID, 1, SEEDS[:1], tuple(TASKS)),
            (SEARCH, 1, SEEDS[1:], tuple(TASKS)),
            (HALVED, 1, SEEDS[:1], ("sst2",)),
            (SEARCH, 4, SEEDS[1:], ("sst2", "mr")),
            (SEARCH, 4, SEEDS[1:], ("trec",)),
            (GRID, 4, SEEDS[:1], tuple(TASKS)),
        ),
    ),
    "capt": Searched(
        ("learning_rate=1e-3..0.3:log", "variant=addition,prepending"),
        {"learning_rate": (0.003, 0.01, 0.03, 0.1, 0.3), "variant": ("addition", "prepending")},
        {},
        ((SEARCH, 1, SEEDS[:1], tuple(TASKS)), (GRID, 1, SEEDS[:1], tuple(TASKS))),
    ),
}


class Work:
    """Does cells in this process, with what is loaded."""

    def __init__(self, seconds: Path) -> None:
        import softprompt as sp
        from softprompt.cli.common import quiet
        from softprompt.compare.cells import LoadedTasks

        quiet()
        self.backbone, self.tasks, self.path = sp.load_backbone(BACKBONE), LoadedTasks(), seconds
        self.states: dict[Any, Any] = {}
        self.seconds: dict[str, float] = json.loads(seconds.read_text()) if seconds.is_file() else {}

    @contextmanager
    def remembering(self, wanted: bool) -> Iterator[None]:
        """Have the same batch's states of the frozen model, to which no prompt is attached, computed but once.

        Nothing but seconds is another one by it.
        """
        from softprompt.readouts.head import Head

        whole, known = Head.features, self.states

        def features(head: Any, prompted: Any, batch: Any, prompts: Any = None) -> Any:
            if "features" in batch:
                return whole(head, prompted, batch, prompts)
            key = head.pooling, str(tuple(batch["input_ids"].shape)), batch["input_ids"].numpy().tobytes()
            if key not in known:
                known[key] = whole(head, prompted, batch, prompts)
            return known[key].clone()

        Head.features = features if wanted else whole
        try:
            yield
        finally:
            Head.features = whole

    def do(self, cell: Any) -> None:
        """Train or read a cell."""
        from softprompt.compare.cells import train_cell
        from softprompt.progress import Progress

        begun, finished = time.process_time(), (Path(cell.folder) / "metrics.json").is_file()
        try:
            train_cell(cell, self.backbone, self.tasks.of(cell), Progress(False))
        finally:
            if not finished:
                self.seconds[cell.folder] = self.seconds.get(cell.folder, 0.0) + time.process_time() - begun
                self.path.write_text(json.dumps(self.seconds))

    def metrics(self, cell: Any) -> Any:
        """What a cell came to."""
        from softprompt.files.places import METRICS
        from softprompt.training.finished import read_metrics

        return read_metrics(Path(cell.folder) / METRICS)


def run_all(options: argparse.Namespace) -> None:
    """Search what is not there yet, case by case."""
    options.out.mkdir(parents=True, exist_ok=True)
    work, known = (
        Work(options.out / "seconds.json"),
        {tuple(row[name] for name in KEY) for row in read(options.results)},
    )
    for method in options.methods:
        for strategy, folds, draws, tasks in METHODS[method].cases:
            for draw, task in product(draws, tasks):
                if (method, task, draw, strategy, folds) not in known:
                    print(method, task, draw, strategy, folds, flush=True)
                    with work.remembering(method == "head_only" and task != TIMED):
                        keep(options.results, one(work, options, method, (task, draw), (strategy, folds)), KEY)


def one(
    work: Work, options: argparse.Namespace, method: str, where: tuple[str, int], how: tuple[str, int]
) -> dict[str, Any]:
    """One search, or one grid, and what it would take on the test rows."""
    from softprompt.compare.cells import Cell
    from softprompt.compare.ranges import typed_ranges, with_values
    from softprompt.compare.search import Search

    own, (task, draw), (strategy, folds) = METHODS[method], where, how
    cell = Cell(
        name="",
        folder="",
        backbone=BACKBONE,
        task=task,
        data=str(options.data / TASKS[task] / f"16-{draw}"),
        method=method,
        training_options=own.training,
        seed=SEEDS[0],
        max_test_rows=TEST_ROWS,
    )
    halving = strategy == HALVED
    folder = (options.out / f"{method}-{task}-{draw}-{folds}{'-halved' if halving else ''}").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    wanted = Search(cell, typed_ranges(own.over, cell), folds, TRIALS, None, 1, folder, halving)
    trials, choice = (gridded if strategy == GRID else searched)(work, wanted, own)
    found: dict[str, Any] = {"method": method, "task": task, "draw": draw, "strategy": strategy, "folds": folds}
    found |= {"trials": trials, "best": choice.best, "taken": choice.place, "gain": choice.gain, "error": choice.error}

    def tested(place: int) -> list[float]:
        values = trials[place]["values"] if place else {}
        name = "-".join(map(str, values.values())) if values else "default"
        taken = with_values(cell, wanted.ranges, values)
        place = (options.out / f"{method}-{task}-{draw}-test" / name).absolute()
        return [tested_on(work, taken, place, seed) for seed in TESTED]

    return {**found, "test": {"default": tested(0), "best": tested(choice.best)}}


def tested_on(work: Work, cell: Any, place: Path, seed: int) -> float:
    """The main metric of a configuration on the test rows."""
    own = cell.model_copy(update={"name": place.name, "folder": f"{place}-{seed}", "seed": seed})
    work.do(own)
    metrics = work.metrics(own)
    return float(metrics.test.value(metrics.metric))


def searched(work: Work, wanted: Any, own: Searched) -> tuple[list[dict[str, Any]], Any]:
    """The trials of a search, and what it chose."""
    from softprompt.compare.here import HereExecutor
    from softprompt.compare.search import Searching
    from softprompt.progress import Progress

    found = Searching(wanted, {"task": wanted.cell.data}, HereExecutor(work.do), Progress(False)).run()
    return [told(work, wanted, trial) for trial in found.trials], found.choice


def gridded(work: Work, wanted: Any, own: Searched) -> tuple[list[dict[str, Any]], Any]:
    """The default and a grid around it, and what would be taken of these."""
    from softprompt.compare.choice import chosen
    from softprompt.compare.study import Trial
    from softprompt.compare.tried import measured

    every = [dict(zip(own.grid, values, strict=True)) for values in product(*own.grid.values())]
    default = values_of_default(work, wanted, own)
    others = [values for values in every if values != default]
    trials = [Trial(0, {}), *(Trial(number, values) for number, values in enumerate(others, 1))]
    for trial in trials:
        for cell in wanted.cells_of(trial, wanted.ranges):
            work.do(cell)
    scores = [measured(wanted.cells_of(trial, wanted.ranges), wanted.folds) for trial in trials]
    return [told(work, wanted, trial) for trial in trials], chosen(scores)


def values_of_default(work: Work, wanted: Any, own: Searched) -> dict[str, Any]:
    """The default's values of what is searched."""
    from softprompt.compare.study import Trial

    cell = wanted.cells_of(Trial(0, {}), ())[0]
    work.do(cell)
    record = work.metrics(cell)
    every = {**record.options["method"], **record.options["training"], "pooling": record.readout["pooling"]}
    return {name: type(own.grid[name][0])(every[name]) for name in own.grid}


def told(work: Work, wanted: Any, trial: Any) -> dict[str, Any]:
    """What is kept of a trial: its scores, and the validation curve of each of its runs."""
    from softprompt.compare.pausing import curve
    from softprompt.compare.tried import measured

    cells, metric = wanted.cells_of(trial, wanted.ranges), "accuracy"
    return {
        "values": dict(trial.values),
        "scores": [] if trial.cut else [value for value, _ in measured(cells, wanted.folds)],
        "curves": [[round(float(one[metric]), 4) for one in curve(Path(cell.folder))] for cell in cells],
        "seconds": round(sum(work.seconds.get(cell.folder, 0.0) for cell in cells), 2),
    }


def write(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """The tables of what is there."""
    tables = [of_strategies(rows), of_promises(rows), of_halving(rows)]
    path.with_suffix(".md").write_text("\n\n".join(tables) + "\n", encoding="utf-8")


def of_strategies(rows: Sequence[Mapping[str, Any]]) -> str:
    """The default beside what a search and a grid take, on the test rows."""
    lines = ["| method, task, draw | measured on | the default | best of a search | taken | best of a grid | taken |"]
    lines.append("|---|---|---|---|---|---|---|")
    cases = sorted({(row["method"], row["task"], row["draw"], row["folds"]) for row in rows}, key=str)
    for method, task, draw, folds in cases:
        own = {row["strategy"]: row for row in rows if _case(row) == (method, task, draw, folds)}
        cells = [
            f"{method}, {task}, {draw}",
            _measured_on(folds),
            f"{mean(next(iter(own.values()))['test']['default']):.3f}",
        ]
        for strategy in (SEARCH, GRID):
            row = own.get(strategy)
            cells += ["", ""] if row is None else [f"{mean(row['test']['best']):.3f}", f"{_taken(row):.3f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def of_promises(rows: Sequence[Mapping[str, Any]]) -> str:
    """What the rows that decide promise beside what the test rows show, on the mean over all cases."""
    lines = ["| method | measured on | cases | best's score | its test | gain promised | gain on the test rows |"]
    lines.append("|---|---|---|---|---|---|---|")
    for method, folds in sorted({(row["method"], row["folds"]) for row in rows}):
        own = [row for row in rows if (row["method"], row["folds"], row["strategy"]) == (method, folds, SEARCH)]
        score = mean(mean(row["trials"][row["best"]]["scores"]) for row in own)
        test, gain = mean(mean(row["test"]["best"]) for row in own), mean(row["gain"] for row in own)
        shown = mean(mean(row["test"]["best"]) - mean(row["test"]["default"]) for row in own)
        lines.append(
            f"| {method} | {_measured_on(folds)} | {len(own)} | {score:.3f} | {test:.3f} | {gain:+.3f} | {shown:+.3f} |"
        )
    return "\n".join(lines)


def of_halving(rows: Sequence[Mapping[str, Any]]) -> str:
    """Searches with halving beside those without: trials that were cut, seconds, and the best on the test rows."""
    lines = ["| method, task, draw | measured on | cut | seconds without | with | test of the best without | with |"]
    lines.append("|---|---|---|---|---|---|---|")
    for row in [row for row in rows if row["strategy"] == HALVED]:
        other = next(one for one in rows if one["strategy"] == SEARCH and _case(one) == _case(row))
        spent = [sum(trial["seconds"] for trial in one["trials"]) for one in (other, row)]
        cut = sum(not trial["scores"] for trial in row["trials"])
        tested = [mean(one["test"]["best"]) for one in (other, row)]
        lines.append(
            f"| {row['method']}, {row['task']}, {row['draw']} | {_measured_on(row['folds'])} "
            f"| {cut} of {len(row['trials'])} | {spent[0]:.0f} | {spent[1]:.0f} | {tested[0]:.3f} | {tested[1]:.3f} |"
        )
    return "\n".join(lines)


def _case(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["method"], row["task"], row["draw"], row["folds"]


def _taken(row: Mapping[str, Any]) -> float:
    return mean(row["test"]["best" if row["taken"] else "default"])


def _measured_on(folds: int) -> str:
    return "validation rows" if folds == 1 else f"{folds} folds"


def main() -> None:
    """Search what is missing, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    if options.data is not None:
        run_all(options)
    write(read(options.results), options.results)


if __name__ == "__main__":
    main()
