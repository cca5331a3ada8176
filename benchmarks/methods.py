"""Every method on a few-shot task, several seeds: the tables in README and docs/results.md.

    python benchmarks/methods.py --task sst2 --data FOLDER/SST-2 [--seeds 13 21 42] [--methods capt ...]
    python benchmarks/methods.py --task trec --data FOLDER/trec --seeds 13

FOLDER holds the published few-shot folders `16-13`, `16-21`, ... (LM-BFF). A method that the backbone cannot serve runs
on `--second` instead. What is done is kept under `--out` and a run that was stopped is resumed, so an interrupted
benchmark goes on where it stopped. Figures go to benchmarks/results/methods.json, tables to methods.md beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import traceback
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "methods.json"
KEY = ("task", "backbone", "method", "seed")
KEPT = (
    *KEY,
    "metric",
    "trained_parameters",
    "stored_parameters",
    "train_seconds",
    "readout",
    "options",
    "versions",
    "validation",
    "test",
)


def run_all(options: argparse.Namespace) -> None:
    """Train what is not done yet, seed by seed."""
    import softprompt as sp
    from softprompt.cli.common import quiet
    from softprompt.methods import methods
    from softprompt.sites.anatomy import read_anatomy

    quiet()
    loaded: dict[str, Any] = {}
    for seed in options.seeds:
        task = sp.Task.load(options.task, data=options.data, seed=seed, max_test_rows=options.test_rows)
        for name in options.methods or methods():
            for backbone in (options.backbone, options.second):
                if backbone not in loaded:
                    loaded[backbone] = sp.load_backbone(backbone)
                model, tokenizer = loaded[backbone]
                if methods()[name]().refusal(read_anatomy(model)) is None:
                    break
            else:
                print(f"{name}: neither backbone can serve it")
                continue
            folder = options.out / options.task / f"{name}-{seed}"
            print(f"== {options.task} {name} seed {seed} on {backbone}", flush=True)
            try:
                resume = (folder / "run.json").is_file()
                run = sp.train(model, tokenizer, task, name, seed=seed, output=folder, resume=resume, backbone=backbone)
            except sp.SoftPromptError as error:
                print(f"{name}: {error}")
                continue
            except Exception:
                traceback.print_exc()  # one method's fault must not cost the night's other rows
                continue
            keep(run.metrics)


def keep(metrics: dict[str, Any]) -> None:
    """Write one run's figures beside those of earlier calls."""
    row = {**{key: metrics[key] for key in KEPT}, "cores": os.cpu_count()}
    rows = [old for old in read() if any(old[key] != row[key] for key in KEY)] + [row]
    rows.sort(key=lambda one: tuple(str(one[key]) for key in KEY))
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    RESULTS.with_suffix(".md").write_text(tables(rows), encoding="utf-8")


def read() -> list[dict[str, Any]]:
    """The figures so far."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else []


def tables(rows: list[dict[str, Any]]) -> str:
    """One table a task: mean and standard deviation over the seeds, best first."""
    parts = []
    for task in sorted({row["task"] for row in rows}):
        groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for row in rows:
            if row["task"] == task:
                groups.setdefault((row["method"], row["backbone"]), []).append(row)
        lines = [
            f"## {task}",
            "",
            "| method | backbone | accuracy | deviation | by seed | trained | stored | seconds |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for (method, backbone), runs in sorted(groups.items(), key=lambda pair: -mean(pair[1])):
            values = [run["test"][run["metric"]] for run in runs]
            by_seed = ", ".join(f"{run['seed']}: {value:.3f}" for run, value in zip(runs, values, strict=True))
            cells = (
                method,
                backbone.removeprefix("embedded:"),
                f"{mean(runs):.3f}",
                f"{statistics.stdev(values):.3f}" if len(values) > 1 else "",
                by_seed,
                f"{runs[0]['trained_parameters']:,}",
                f"{runs[0]['stored_parameters']:,}",
                f"{statistics.mean(run['train_seconds'] for run in runs):.0f}",
            )
            lines.append(f"| {' | '.join(cells)} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def mean(runs: list[dict[str, Any]]) -> float:
    """Mean test metric."""
    return statistics.mean(run["test"][run["metric"]] for run in runs)


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="sst2")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", default="embedded:gemma3-270m")
    parser.add_argument("--second", default="embedded:minilm")
    parser.add_argument("--seeds", type=int, nargs="+", default=[13, 21, 42])
    parser.add_argument("--methods", nargs="+", default=None, help="default: all")
    parser.add_argument("--test-rows", type=int, default=400)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    run_all(parser.parse_args())
    print(tables(read()))


if __name__ == "__main__":
    main()
