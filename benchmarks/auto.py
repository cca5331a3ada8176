"""What `--method auto` takes, beside every single default that it measured, on test rows that had no part in it.

    python benchmarks/auto.py --data /path/to/fewshot --task sst2 --folder SST-2 --minutes 4

The folder is LM-BFF's layout: one draw (16 rows a class), 400 test rows. Minutes are of processor time with one thread,
so that other work on the machine changes neither what is measured nor what is taken. What was measured on folds is then
trained as it is on all rows and tested, and the difference to what was taken is of the same test rows (jackknife).
Figures go to benchmarks/results/auto.json, one row a task.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

from _common import keep

RESULTS = Path(__file__).parent / "results" / "auto.json"
MEASURED = ("measured", "dropped")


def singles(backbone: Any, task: Any, made: Any, seed: int, out: Path) -> dict[str, Any]:
    """The default method and each that was measured, with their own defaults on all rows: score and difference."""
    import softprompt as sp
    from softprompt.compare.race import HeldOut

    metric = made.choice.metric
    taken = HeldOut.of([made.run.folder], metric)
    found = {}
    for place, one in enumerate(made.choice.tried):
        if (place and one.state not in MEASURED) or "learning_rate" in one.training_options:
            continue
        folder = made.run.folder if place == made.choice.taken else out / f"single-{one.method}"
        if place != made.choice.taken:
            method = sp.method(one.method, **one.method_options)
            resume = (folder / "run.json").is_file()
            options = {**one.training_options, "seed": seed, "output": folder, "resume": resume}
            sp.train(backbone, task, method, progress=False, **options)
        own = HeldOut.of([folder], metric)
        gap = taken.behind(own)
        found[one.label] = {"test": own.score, "ahead_of_taken": gap.mean, "error": gap.error}
    return found


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """One task: what was tried, what was taken, and the single defaults."""
    import softprompt as sp

    backbone = sp.load_backbone(options.backbone)
    data = options.data / options.folder / f"16-{options.seed}"
    task = sp.Task.load(options.task, data, max_test_rows=400)
    out = options.out / options.task
    made = sp.train_auto(backbone, task, minutes=options.minutes, seed=options.seed, output=out / "auto", resume=True)
    columns = ("state", "scores", "score", "error", "seconds", "stored_bytes", "why")
    return {
        "task": options.task,
        "backbone": options.backbone,
        "seed": options.seed,
        "minutes": options.minutes,
        "seconds": made.choice.seconds,
        "folds": made.choice.folds,
        "taken": made.choice.chosen.label,
        "why": made.choice.why,
        "test": made.run.metrics["test"],
        "tried": [{"method": one.label, **{name: getattr(one, name) for name in columns}} for one in made.choice.tried],
        "singles": singles(backbone, task, made, options.seed, out),
    }


def main() -> None:
    """Measure a task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--task", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--backbone", default="embedded:minilm")
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--out", type=Path, default=Path("runs/auto"))
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    time.monotonic = time.process_time
    keep(RESULTS, measured(options), ("task", "backbone", "seed", "minutes"))


if __name__ == "__main__":
    main()
