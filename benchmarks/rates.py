"""Learning rates of prompts on an encoder: a grid for each method, chosen on validation rows alone.

    python benchmarks/rates.py --data FOLDER --out runs/rates [--methods capt ...] [--seeds 13 21 42]

FOLDER holds the published few-shot folders `SST-2`, `mr` and `trec`, each with its `16-13`, `16-21`, ... (LM-BFF). All
but the rate is the method's recipe; the best evaluation of a run on its validation rows counts. No test row has a
part: one is read, since a task needs one, and its score is not kept. Runs are kept under `--out`, and a stopped
benchmark goes on where it was. Figures go to `--results`, by default benchmarks/results/rates.json, and tables to
rates.md beside it.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _common import keep, read, run

RESULTS = Path(__file__).parent / "results" / "rates.json"
KEY = ("backbone", "arm", "rate", "task", "seed")
GO_ON = 3  # rates of a method that the first seed leaves to the others
TASKS = {"sst2": "SST-2", "mr": "mr", "trec": "trec"}
# About threes, down from a rate at which a method learns too much a step; each recipe's own is among them.
LOW, TABLE, STATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2), (1e-3, 3e-3, 1e-2, 3e-2, 0.1), (3e-3, 1e-2, 3e-2, 0.1, 0.3)
FIRST = {
    "capt": (*STATES, 0.5),
    "deep_prompt": (*STATES, 1.0),
    "prompt_tuning": TABLE,
    "p_tuning_v2": (1e-3, 3e-3, 7e-3, 2e-2, 5e-2),
    "p_tuning_v2 mean": (3e-3, 7e-3, 2e-2, 5e-2),
}
THEN = {
    "prefix_tuning": LOW,
    "superpos": (*LOW, 3e-2),
    "dept": TABLE,
    "residual_prompt": TABLE,
    "smop": TABLE,
    "p_tuning": LOW,
    "vfpt": (*STATES, 1.0),
    "idpg": (1e-4, 5e-4, 2e-3, 1e-2, 5e-2),
    "lpt": LOW,
    "lora": (1e-4, 5e-4, 2e-3, 1e-2),
    "ia3": (*LOW, 3e-2),
    "spt": LOW,
}


def run_all(options: argparse.Namespace) -> None:
    """Train what is not done yet: what most depends on it first, and in each part seed by seed."""
    import softprompt as sp
    from softprompt.cli.common import quiet

    quiet()
    loaded = sp.load_backbone(options.backbone)
    for grids in (FIRST, THEN):
        wanted = {arm: rates for arm, rates in grids.items() if not options.methods or arm in options.methods}
        for seed in options.seeds if wanted else ():
            for name in options.tasks:
                task = sp.Task.load(name, data=options.data / TASKS[name], seed=seed, max_test_rows=1)
                for arm, rates in wanted.items():
                    for rate in rates if seed == options.seeds[0] else best(options, arm, rates):
                        _one(options, loaded, task, seed, arm, rate)


def best(options: argparse.Namespace, arm: str, rates: Sequence[float]) -> list[float]:
    """The rates that go on after the first seed: the best three of it over all tasks, of equal ones the lower loss."""
    runs = [
        row
        for row in read(options.results)
        if (row["backbone"], row["arm"], row["seed"]) == (options.backbone, arm, options.seeds[0])
    ]
    by_rate = {rate: [row for row in runs if row["rate"] == rate] for rate in rates}
    most = max(map(len, by_rate.values()))
    return sorted((rate for rate in rates if len(by_rate[rate]) == most), key=lambda one: worth(by_rate[one]))[-GO_ON:]


def _one(options: argparse.Namespace, loaded: tuple[Any, Any], task: Any, seed: int, arm: str, rate: float) -> None:
    method, _, pooling = arm.partition(" ")
    folder = options.out / task.name / f"{arm.replace(' ', '-')}-{rate:g}-{seed}"
    print(f"== {task.name} {arm} at {rate:g}, seed {seed}", flush=True)
    more = {"pooling": pooling} if pooling else {}
    metrics = run(loaded, task, method, seed, folder, options.backbone, learning_rate=rate, progress=False, **more)
    if metrics is not None:
        row = {"backbone": options.backbone, "arm": arm, "rate": rate, "task": task.name, "seed": seed}
        own = {name: metrics[name] for name in ("metric", "validation", "train_seconds", "versions")}
        rows = keep(options.results, {**row, **own}, KEY)
        options.results.with_suffix(".md").write_text(tables(rows), encoding="utf-8")


def tables(rows: Sequence[dict[str, Any]]) -> str:
    """A table for each backbone: of each method and rate the mean of each task and of all, with the rate to take."""
    parts = []
    for backbone in sorted({row["backbone"] for row in rows}):
        own = [row for row in rows if row["backbone"] == backbone]
        names = [task for task in TASKS if any(row["task"] == task for row in own)]
        lines = [
            f"## {backbone}, validation rows",
            "",
            f"| method | rate | {' | '.join(names)} | mean | loss | runs |",
            f"|{'---|' * (len(names) + 5)}",
        ]
        for arm in [*FIRST, *THEN]:
            runs = [row for row in own if row["arm"] == arm]
            best, rates = chosen(runs), sorted({row["rate"] for row in runs})
            for rate in rates:
                at = [row for row in runs if row["rate"] == rate]
                tasks = [mean([row for row in at if row["task"] == name]) for name in names]
                edge = ", at an end of the grid" if rate in (rates[0], rates[-1]) else ""
                told = f"**{rate:g}** (best{edge})" if rate == best else f"{rate:g}"
                loss = statistics.mean(row["validation"]["loss"] for row in at)
                lines.append(f"| {arm} | {told} | {' | '.join(tasks)} | {mean(at)} | {loss:.3f} | {len(at)} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def chosen(runs: Sequence[dict[str, Any]]) -> float | None:
    """The rate with the best mean metric of the validation rows over tasks and seeds; of equal ones the lower loss.

    A rate that lacks runs which another one has, as it does after one that diverged, is not taken.
    """
    by_rate: dict[float, list[dict[str, Any]]] = {}
    for row in runs:
        by_rate.setdefault(row["rate"], []).append(row)
    most = max(map(len, by_rate.values()), default=0)
    whole = {rate: found for rate, found in by_rate.items() if len(found) == most}

    return max(whole, key=lambda rate: worth(whole[rate]), default=None)


def worth(runs: Sequence[dict[str, Any]]) -> tuple[float, float]:
    """What rates are compared by: the mean metric, then the loss."""
    return _mean(runs), -statistics.mean(row["validation"]["loss"] for row in runs)


def mean(runs: Sequence[dict[str, Any]]) -> str:
    """The mean metric as it is shown."""
    return f"{_mean(runs):.3f}" if runs else ""


def _mean(runs: Sequence[dict[str, Any]]) -> float:
    return statistics.mean(row["validation"][row["metric"]] for row in runs)


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--backbone", default="embedded:minilm")
    parser.add_argument("--seeds", type=int, nargs="+", default=[13, 21, 42])
    parser.add_argument("--methods", nargs="+", choices=[*FIRST, *THEN], default=None, help="default: all")
    parser.add_argument("--out", type=Path, default=Path("runs/rates"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    run_all(options)
    print(tables(read(options.results)))


if __name__ == "__main__":
    main()
