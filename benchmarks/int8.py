"""What int8 products cost and gain: test rows answered with and without them, by prompts that were trained without.

    python benchmarks/int8.py RUN=DATA [RUN=DATA ...] [--rows 400] [--turns 3]

RUN is a run's folder, DATA that of its task's published rows. Both ways answer the same rows in turns in one process,
on one thread; speed is processor time, the median of the turns, and so is their ratio. Beside it stands how the answers
differ; of a bfloat16 backbone, too, how they differ from those in float32, for the size of such a difference.

Figures go to benchmarks/results/int8.json, the table to int8.md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from _common import keep
from _machine import processor

RESULTS = Path(__file__).parent / "results" / "int8.json"


def opened(run: Path, **options: Any) -> Any:
    """A run's prompt, over a backbone of its own."""
    import softprompt as sp

    name = json.loads((run / "prompt" / "prompt.json").read_text(encoding="utf-8"))["backbone_name"]
    return sp.load(run, sp.load_backbone(name, device="cpu", **options))


def answered(prompt: Any, rows: list[Any]) -> tuple[float, list[Any]]:
    """The seconds of processor time that a prompt takes to answer rows, and the outcomes."""
    from softprompt.inference.predict import predict

    items = [prompt.readout.encode(row) for row in rows]
    with prompt.attached() as prompted:
        begun = time.process_time()
        found = predict(prompted, prompt.readout, rows, items=items)
        return time.process_time() - begun, found


def against(found: list[Any], other: list[Any]) -> dict[str, Any]:
    """How many answers differ, and the largest difference of a probability."""
    pairs = list(zip(found, other, strict=True))
    gaps = [max(abs(p - q) for p, q in zip(a.probabilities, b.probabilities, strict=True)) for a, b in pairs]
    return {"answers": sum(a.prediction != b.prediction for a, b in pairs), "probability": max(gaps)}


def measured(run: Path, data: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Both ways in turns, for one run."""
    import softprompt as sp

    plain, int8 = (opened(run, int8=on) for on in (False, True))
    rows = sp.Task.load(plain.task.name, data=data, seed=13).splits(13).test[: options.rows]
    turns = [(answered(plain, rows), answered(int8, rows)) for _ in range(options.turns)]
    dtype = str(plain.backbone.dtype).removeprefix("torch.")
    ways = [outcomes for _, outcomes in turns[-1]]
    spent = [[seconds for seconds, _ in one] for one in turns]
    gold = [row.label for row in rows]
    right = [sum(one.prediction == label for one, label in zip(found, gold, strict=True)) for found in ways]
    exact = None if dtype == "float32" else answered(opened(run, dtype="float32"), rows)[1]
    return {
        "run": f"{run.parent.name}/{run.name}",
        "dtype": dtype,
        "rows": len(rows),
        "accuracy": [one / len(rows) for one in right],
        "differ": against(*ways),
        "differ_from_float32": None if exact is None else against(ways[0], exact),
        "rows_a_second": [len(rows) / statistics.median(one) for one in zip(*spent, strict=True)],
        "times_as_fast": statistics.median(one / other for one, other in spent),
        **processor(),
        "torch": torch.__version__,
    }


def table(found: list[dict[str, Any]]) -> str:
    """A line for each run."""
    lines = [
        f"One thread of {found[0]['processor']}, torch {found[0]['torch']}; processor time.",
        "",
        "| run | type | test rows | accuracy, without and with | answers that differ | largest difference "
        "of a probability | both between the type and float32 | rows a second, without and with | times as fast |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in found:
        other = one["differ_from_float32"]
        beside = "" if other is None else f"{other['answers']}, {other['probability']:.3f}"
        lines.append(
            f"| {one['run']} | {one['dtype']} | {one['rows']} | {one['accuracy'][0]:.4f}, {one['accuracy'][1]:.4f} "
            f"| {one['differ']['answers']} | {one['differ']['probability']:.3f} | {beside} "
            f"| {one['rows_a_second'][0]:.0f}, {one['rows_a_second'][1]:.0f} | {one['times_as_fast']:.2f} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure every run and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN=DATA")
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for given in options.runs:
        run, _, data = given.partition("=")
        row = measured(Path(run), Path(data), options)
        found = keep(options.results, row, ("run",))
        options.results.with_suffix(".md").write_text(table(found), encoding="utf-8")
        print(row, flush=True)


if __name__ == "__main__":
    main()
