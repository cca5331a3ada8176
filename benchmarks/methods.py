"""Every method on a few-shot task, several seeds: the table in README.

    python benchmarks/methods.py --task sst2 --data FOLDER/SST-2 [--seeds 13 21 42] [--methods capt ...]
    python benchmarks/methods.py --task trec --data FOLDER/trec --seeds 13

FOLDER holds the published few-shot folders `16-13`, `16-21`, ... (LM-BFF). A method that the backbone cannot serve runs
on `--second` instead. What is done is kept under `--out` and a run that was stopped is resumed, so an interrupted
benchmark goes on where it stopped. Figures go to benchmarks/results/methods.json, tables to methods.md beside it.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from _common import keep, kept, mean, read, run, tunable, values

RESULTS = Path(__file__).parent / "results" / "methods.json"
KEY = ("task", "backbone", "method", "seed")
# Methods that fit or search many times over: less of it than their defaults, so that a row takes minutes.
BUDGETS: dict[str, dict[str, Any]] = {
    "autoprompt": {"rounds": 15, "candidates": 5},
    "xprompt": {"token_rates": (0.5,), "piece_rates": (0.2, 0.5)},
}


def run_all(options: argparse.Namespace) -> None:
    """Train what is not done yet, seed by seed."""
    import softprompt as sp
    from softprompt.backbones.anatomy import read_anatomy
    from softprompt.cli.common import quiet
    from softprompt.methods import methods

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
            metrics = run((model, tokenizer), task, sp.method(name, **BUDGETS.get(name, {})), seed, folder, backbone)
            if metrics is not None:
                rows = keep(RESULTS, kept(metrics, KEY), KEY)
                RESULTS.with_suffix(".md").write_text(tables(rows), encoding="utf-8")


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
            "| method | backbone | accuracy | deviation | by seed | trained | tunable % | stored | seconds |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        for (method, backbone), runs in sorted(groups.items(), key=lambda pair: -mean(pair[1])):
            found = values(runs)
            by_seed = ", ".join(f"{one['seed']}: {value:.3f}" for one, value in zip(runs, found, strict=True))
            cells = (
                method,
                backbone.removeprefix("embedded:"),
                f"{mean(runs):.3f}",
                f"{statistics.stdev(found):.3f}" if len(found) > 1 else "",
                by_seed,
                f"{runs[0]['trained_parameters']:,}",
                tunable(runs[0]),
                f"{runs[0]['stored_parameters']:,}",
                f"{statistics.mean(one['train_seconds'] for one in runs):.0f}",
            )
            lines.append(f"| {' | '.join(cells)} |")
        parts.append("\n".join(lines))
    told = "; ".join(
        f"{name} with {', '.join(f'{option} {value}' for option, value in less.items())}"
        for name, less in BUDGETS.items()
        if any(row["method"] == name for row in rows)
    )
    return "\n\n".join([*parts, *([f"Less than their default budgets: {told}."] if told else [])]) + "\n"


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
    print(tables(read(RESULTS)))


if __name__ == "__main__":
    main()
