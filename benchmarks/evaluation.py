"""What evaluation costs beside an earlier version: rows of real data, answered by both in turns.

    python benchmarks/evaluation.py --data FOLDER --before CHECKOUT [--rows 256] [--rounds 3]

FOLDER holds glue/SST-2, superglue/COPA and superglue/MultiRC, CHECKOUT is a work tree of the earlier version, such as
`git worktree add CHECKOUT COMMIT`. Two versions of one package do not fit into one process: each is a process of its
own with one thread, of which one works while the other waits, case by case and round by round. Processor time is
measured; a ratio is the median of the rounds' ratios. The prompts are untrained, and what they answer is compared.
Figures go to benchmarks/results/evaluation.json, the table to evaluation.md beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from _common import write

HERE = Path(__file__).resolve()
RESULTS = HERE.parent / "results" / "evaluation.json"
METHODS: dict[str, dict[str, Any]] = {
    "prompt_tuning 20": {"num_virtual_tokens": 20},
    "prompt_tuning 100": {"num_virtual_tokens": 100},
    "deep_prompt 10": {"num_virtual_tokens": 10},
    "p_tuning_v2 20": {"num_virtual_tokens": 20},
    "capt 1": {},
}
DATA = {"sst2": "glue/SST-2", "copa": "superglue/COPA", "multirc": "superglue/MultiRC"}
TASKS = {
    "film reviews": "sst2",
    "film reviews, label words of several tokens": "sst2",
    "choices": "copa",
    "questions about passages": "multirc",
}
WORDS = {"0": "a really terrible film", "1": "a really great film"}


def work(options: argparse.Namespace) -> None:
    """Answer the cases that stand on standard input, a line each, in this process."""
    import torch

    import softprompt as sp
    from softprompt.backbones.backbone import Backbone
    from softprompt.cli.common import quiet
    from softprompt.inference.predict import predict
    from softprompt.methods import method
    from softprompt.readouts.build import build_readout
    from softprompt.training.options import TrainingOptions
    from softprompt.training.setup import readout_spec

    torch.set_num_threads(1)
    quiet()
    model, tokenizer = sp.load_backbone(options.backbone)
    for line in sys.stdin:
        task_name, method_name = json.loads(line)
        task = sp.Task.load(TASKS[task_name], data=options.data / DATA[TASKS[task_name]], seed=13)
        splits = task.splits(13)
        rows = (splits.test if len(splits.test) >= options.rows else splits.train)[: options.rows]
        if "several" in task_name:
            task = task.model_copy(update={"labels": WORDS})
        chosen = method(method_name.split()[0], **METHODS[method_name])
        with sp.attach(model, tokenizer, chosen, seed=13) as prompted:
            spec = readout_spec(model, task, chosen, TrainingOptions())
            readout = build_readout(task, Backbone(model, tokenizer), prompted.prompts[0], spec)
            items = [readout.encode(row) for row in rows]
            begun = time.process_time()
            found = predict(prompted, readout, rows, items=items)
            told = {
                "seconds": time.process_time() - begun,
                "rows": len(rows),
                "sequences": sum(max(len(item.texts), 1) for item in items),
                "answers": [one.prediction for one in found],
                "losses": [one.loss for one in found],
            }
        print(json.dumps(told), flush=True)


class Side:
    """A version at work in a process of its own.

    Args:
        source: its `src`.
        options: as given.
    """

    def __init__(self, source: Path, options: argparse.Namespace) -> None:
        """Start it."""
        given = ["--data", options.data, "--rows", options.rows, "--backbone", options.backbone]
        environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(HERE), "--work", *map(str, given)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)

    def answer(self, case: tuple[str, str]) -> dict[str, Any]:
        """What it takes for a case, and what it answers."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(case), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{case}: the process ended")
        found: dict[str, Any] = json.loads(line)
        return found

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The median of every case."""
    sides = [Side(options.before.resolve() / "src", options), Side(HERE.parent.parent / "src", options)]
    rows = []
    for task in options.tasks:
        for method in options.methods:
            turns = [[side.answer((task, method)) for side in sides] for _ in range(options.rounds)]
            rows.append({"task": task, "method": method, "backbone": options.backbone, **told(turns)})
            write(RESULTS, rows, table(rows))
            print(rows[-1], flush=True)
    for side in sides:
        side.close()
    return rows


def told(turns: list[list[dict[str, Any]]]) -> dict[str, Any]:
    """Medians over the rounds, and by how much answers and losses differ."""
    before, after = turns[0]
    pairs = list(zip(before["answers"], after["answers"], strict=True))
    losses = [abs(one - other) for one, other in zip(before["losses"], after["losses"], strict=True)]
    return {
        "rows": before["rows"],
        "sequences": before["sequences"],
        "before": statistics.median(one["seconds"] for one, _ in turns),
        "after": statistics.median(other["seconds"] for _, other in turns),
        "ratio": statistics.median(one["seconds"] / other["seconds"] for one, other in turns),
        "same": sum(one == other for one, other in pairs) / len(pairs),
        "largest_change_of_loss": max(losses),
        "rounds": len(turns),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """A line for each case."""
    lines = [
        "| rows | method | sequences | before, s | now, s | faster | same answers |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['rows']} {row['task']} | {row['method']} | {row['sequences']} "
        f"| {row['before']:.1f} | {row['after']:.1f} | {row['ratio']:.2f}x | {100 * row['same']:.1f} % |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--backbone", default="embedded:gemma3-270m")
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options)
        return
    if options.before is None:
        parser.error("say which version to compare with: --before CHECKOUT")
    print(table(measure(options)))


if __name__ == "__main__":
    main()
