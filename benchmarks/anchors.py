"""CaPT's three findings on attention, measured (docs/anchors.md).

    python benchmarks/anchors.py --data FOLDER --backbone embedded:minilm
    python benchmarks/anchors.py --data FOLDER --backbone embedded:gemma3-270m --dtype bfloat16

I: what deep prompts of length ten attend to. II: their test metric behind m pooled tokens of the text, untrained. III:
that one token's attention, and CaPT beside a deep prompt of length one: attention, test metric, and both again with
random directions in the slots, and without the prompt.

Seed after seed, task after task; each run is kept in `anchors-<backbone>/` under `--out`, and the same command again
goes on where it was stopped. Figures go to benchmarks/results/anchors.json, tables to anchors.md beside it.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from _common import keep, run

RESULTS = Path(__file__).parent / "results" / "anchors.json"
KEY = ("backbone", "task", "arm", "seed")
# CB has 16 neutral rows to train and to choose on; LM-BFF's published rows of SST-2 are 16 a class already.
SHOTS = {"rte": 16, "cb": 8, "sst2": None}
FOLDERS = {"rte": "superglue/RTE", "cb": "superglue/CB", "sst2": "fewshot/SST-2"}
COUNTS = (0, 1, 2, 3, 4, 10)
KEPT = ("source", "target", "weight", "uniform", "score", "rows", "layers")


def run_all(options: argparse.Namespace) -> None:
    """Train and look at what is not done yet, and write what there is after every run."""
    import softprompt as sp
    from softprompt.cli.common import quiet

    quiet()
    backbone = sp.load_backbone(options.backbone, dtype=options.dtype)
    place = options.out / f"anchors-{options.backbone.removeprefix('embedded:').replace('/', '-')}"
    arms = {
        "deep 10": sp.method("deep_prompt", num_virtual_tokens=10),
        "capt": sp.method("capt"),
        "deep 1": sp.method("deep_prompt", num_virtual_tokens=1),
    }
    done = {tuple(row[name] for name in KEY) for row in read_rows(options.results)}
    for seed in options.seeds:
        for name in options.tasks:
            source = options.data / FOLDERS[name]
            task = sp.Task.load(name, data=source, shots=SHOTS[name], seed=seed, max_test_rows=options.test_rows)
            for arm, method in arms.items():
                own = {"backbone": options.backbone, "task": name, "arm": arm, "seed": seed}
                if tuple(own.values()) in done:
                    continue
                print(f"== {name} {arm} seed {seed} on {options.backbone}", flush=True)
                folder = place / f"{name}-{arm.replace(' ', '')}-{seed}"
                given = {name: getattr(options, name) for name in ("epochs", "learning_rate")}
                given = {name: value for name, value in given.items() if value is not None}
                metrics = run(
                    backbone, task, method, seed, folder, options.backbone, max_length=options.max_length, **given
                )
                if metrics is not None:
                    found = looked_at(sp.load(folder, backbone), task.splits(seed).test, options.rows, arm)
                    told = {"metric": metrics["metric"], "test": metrics["test"], "tunable": metrics["tunable"]}
                    told |= {
                        name: metrics["options"]["training"][name] for name in ("epochs", "batch_size", "learning_rate")
                    }
                    write(keep(options.results, {**own, **told, **found}, KEY), options.results)


def looked_at(prompt: Any, test: Sequence[Any], most: int, arm: str) -> dict[str, Any]:
    """The attention of a prompt and of its controls, and their metrics."""
    import softprompt as sp
    from softprompt.evaluation.pooled import with_pooled
    from softprompt.explain.anchors.columns import Structural
    from softprompt.explain.anchors.controls import with_random_directions, without_prompt
    from softprompt.explain.anchors.flows import flows_of
    from softprompt.explain.anchors.reading import seen_with

    rows, rule = test[:most], Structural()
    made = {"own": ((prompt.producer, prompt.readout), None)}
    if arm == "deep 10":
        made["pooled"] = (with_pooled(prompt, 1), range(1))
    else:
        made |= {"random": (with_random_directions(prompt, 0), None), "removed": (without_prompt(prompt), None)}
    attention = {}
    for name, (one, slots) in made.items():
        flows = flows_of([seen_with(prompt, one, rows, rule, slots=slots, batch_size=8)])
        attention[name] = [{part: asdict(flow)[part] for part in KEPT} for flow in flows if flow.place == "body"]
    found: dict[str, Any] = {"attention": attention, "attention_rows": len(rows)}
    if arm == "deep 10":
        pooled = sp.pooled_metrics(prompt, test, COUNTS)
        found["pooled"] = {str(one.pooled): one.scores[prompt.task.metric] for one in pooled}
    else:
        found["controls"] = {name: scored_with(prompt, made[name][0], test) for name in ("random", "removed")}
    return found


def scored_with(prompt: Any, made: Any, rows: Sequence[Any]) -> float:
    """The test metric with another prompt in the place of the trained one."""
    from softprompt.attached.attach import attach
    from softprompt.evaluation.score import figure, metrics_of

    producer, readout = made
    with attach(prompt.backbone, producer) as prompted:
        return figure(metrics_of(prompted, readout, prompt.task, rows), prompt.task.metric)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The figures so far."""
    from _common import read

    return read(path)


def write(rows: list[dict[str, Any]], path: Path) -> None:
    """The tables of each backbone and task."""
    parts = []
    for backbone, task in dict.fromkeys((row["backbone"], row["task"]) for row in rows):
        own = [row for row in rows if (row["backbone"], row["task"]) == (backbone, task)]
        parts += [f"## {task}, {backbone}", attention_table(own), pooled_table(own), metric_table(own)]
    path.with_suffix(".md").write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")


def attention_table(rows: Sequence[dict[str, Any]]) -> str:
    """The share of attention of each flow by arm: its mean and deviation over seeds, what uniform attention gives."""
    sources = [(row["arm"], name) for row in rows for name in row["attention"]]
    lines = ["| from, to | " + " | ".join(f"{arm}, {name}" for arm, name in dict.fromkeys(sources)) + " |"]
    lines.append("|---" * (len(dict.fromkeys(sources)) + 1) + "|")
    flows = dict.fromkeys(
        (flow["source"], flow["target"]) for row in rows for each in row["attention"].values() for flow in each
    )
    for source, target in flows:
        cells = []
        for arm, name in dict.fromkeys(sources):
            found = [
                flow
                for row in rows
                if row["arm"] == arm
                for flow in row["attention"].get(name, ())
                if (flow["source"], flow["target"]) == (source, target)
            ]
            cells.append(
                f"{spread([one['weight'] for one in found])} ({statistics.mean(one['uniform'] for one in found):.3f})"
                if found
                else ""
            )
        lines.append(f"| {source} to {'other slots' if source == target else target} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", "Mean ± deviation over seeds, in brackets what uniform attention gives."])


def pooled_table(rows: Sequence[dict[str, Any]]) -> str:
    """The test metric behind m pooled tokens, and how many seeds rise and fall against none."""
    curves = [row["pooled"] for row in rows if "pooled" in row]
    if not curves:
        return ""
    lines = ["| pooled tokens | test metric | seeds above, below none |", "|---|---|---|"]
    for count in map(str, COUNTS):
        above, below = (sum(sign * (one[count] - one["0"]) > 1e-9 for one in curves) for sign in (1, -1))
        lines.append(f"| {count} | {spread([one[count] for one in curves])} | {above}, {below} |")
    return "\n".join(lines)


def metric_table(rows: Sequence[dict[str, Any]]) -> str:
    """The test metric of each arm, with random directions in its slots, and without it."""
    lines = ["| arm | seeds | metric | test | random directions | removed |", "|---|---|---|---|---|---|"]
    for arm in dict.fromkeys(row["arm"] for row in rows):
        own = [row for row in rows if row["arm"] == arm]
        controls = [
            spread([row["controls"][name] for row in own if "controls" in row]) for name in ("random", "removed")
        ]
        test = spread([row["test"][row["metric"]] for row in own])
        lines.append(f"| {arm} | {len(own)} | {own[0]['metric']} | {test} | {' | '.join(controls)} |")
    return "\n".join(lines)


def spread(values: Iterable[float]) -> str:
    """Mean and deviation; the deviation where there are several."""
    found = list(values)
    if not found:
        return ""
    return f"{statistics.mean(found):.3f}" + (f" ± {statistics.stdev(found):.3f}" if len(found) > 1 else "")


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="embedded:minilm")
    parser.add_argument("--data", type=Path, required=True, help="holds superglue/ (RTE, CB) and fewshot/ (SST-2)")
    parser.add_argument("--tasks", nargs="+", default=["rte", "cb", "sst2"], choices=list(SHOTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[13, 21, 42, 87, 100])
    parser.add_argument("--epochs", type=int, default=None, help="of every arm; default: each method's own")
    parser.add_argument("--learning-rate", type=float, default=None, help="of every arm; default: each method's own")
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--test-rows", type=int, default=400)
    parser.add_argument("--rows", type=int, default=64, help="whose attention is looked at")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, default=Path("runs"))
    options = parser.parse_args()
    run_all(options)
    print(options.results.with_suffix(".md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
