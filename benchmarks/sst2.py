"""Every method on SST-2 with 16 rows a class, several seeds: the table in README.

    python benchmarks/sst2.py --data FOLDER/SST-2 [--seeds 13 21 42] [--methods capt ...] [--test-rows 400]

FOLDER/SST-2 holds the published few-shot folders `16-13`, `16-21`, ... (LM-BFF). What is done is kept under `--out`, so
an interrupted benchmark goes on where it stopped. The summary is written to benchmarks/results/sst2.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results" / "sst2.json"
METHODS = ("hard_prompt", "head_only", "prompt_tuning", "p_tuning_v2", "deep_prompt", "capt", "full_finetuning")


def run_all(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Metrics of every method and seed."""
    import softprompt as sp
    from softprompt.cli.common import quiet

    quiet()
    model, tokenizer = sp.load_backbone(options.backbone)
    found = []
    for seed in options.seeds:
        task = sp.Task.load("sst2", data=options.data, seed=seed, max_test_rows=options.test_rows)
        for method in options.methods:
            folder = options.out / f"{method}-{seed}"
            resume = (folder / "run.json").is_file()
            run = sp.train(
                model, tokenizer, task, method, seed=seed, output=folder, resume=resume, backbone=options.backbone
            )
            found.append(run.metrics)
            keep(found, options)
    return found


def keep(found: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """Write the summary so far beside what earlier calls left of other methods and seeds."""
    kept = (
        "method",
        "seed",
        "backbone",
        "metric",
        "trained_parameters",
        "stored_parameters",
        "train_seconds",
        "versions",
    )
    rows = [
        {**{key: m[key] for key in kept}, "test": m["test"], "options": m["options"], "cores": os.cpu_count()}
        for m in found
    ]
    RESULTS.parent.mkdir(exist_ok=True)
    done = {(row["method"], row["seed"]) for row in rows}
    before = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else []
    rows += [row for row in before if (row["method"], row["seed"]) not in done]
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def show(found: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """Mean and standard deviation over the seeds."""
    table = Table(
        title=f"SST-2, 16 rows a class, seeds {options.seeds}, {options.test_rows} test rows", title_justify="left"
    )
    for column in ("method", "accuracy", "deviation", "seeds", "trained", "stored", "seconds"):
        table.add_column(column, justify="left" if column == "method" else "right")
    for method in options.methods:
        runs = [m for m in found if m["method"] == method]
        values = [m["test"]["accuracy"] for m in runs]
        table.add_row(
            method,
            f"{statistics.mean(values):.3f}",
            f"{statistics.stdev(values):.3f}" if len(values) > 1 else "",
            " ".join(f"{value:.3f}" for value in values),
            f"{runs[0]['trained_parameters']:,}",
            f"{runs[0]['stored_parameters']:,}",
            f"{statistics.mean(m['train_seconds'] for m in runs):.0f}",
        )
    Console(width=100).print(table)


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="embedded:gemma3-270m")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[13, 21, 42])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--test-rows", type=int, default=400)
    parser.add_argument("--out", type=Path, default=Path("runs/sst2"))
    options = parser.parse_args()
    show(run_all(options), options)


if __name__ == "__main__":
    main()
