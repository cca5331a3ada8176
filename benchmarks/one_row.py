"""A pass forward and back over a batch of real rows: as one row of its own columns, and padded to the longest.

    python benchmarks/one_row.py --data FOLDER [--backbone embedded:minilm] [--rows 64] [--rounds 5]

FOLDER holds `fewshot/SST-2` (LM-BFF) and `superglue/CB`. Batches are of 16 training rows in a random order; both ways
take each of them in turns, in one process, on one thread, in float32. A ratio is the median over batches and rounds, of
the processor's time. Figures go to benchmarks/results/one_row.json under the backbone's name, the table to one_row.md.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from _common import write
from _machine import processor

RESULTS = Path(__file__).parent / "results" / "one_row.json"
TASKS = {"sst2": "fewshot/SST-2", "cb": "superglue/CB"}
METHODS = ("capt", "p_tuning_v2", "prompt_tuning", "lora")
BATCH = 16


def batches(task: Any, tokenizer: Any, count: int) -> list[dict[str, torch.Tensor]]:
    """So many rows of a task, in a random order, padded batch by batch."""
    rows = [*task.splits(13).train]
    random.Random(0).shuffle(rows)
    texts = [" ".join(str(value) for value in row.fields.values()) for row in rows[:count]]
    return [
        dict(
            tokenizer(texts[place : place + BATCH], truncation=True, max_length=256, padding=True, return_tensors="pt")
        )
        for place in range(0, len(texts), BATCH)
    ]


def seconds(prompted: Any, batch: dict[str, torch.Tensor], *, as_one: bool) -> float:
    """Of a pass forward and back."""
    prompted._hooks.shares = as_one
    ids, mask = batch["input_ids"], batch["attention_mask"]
    begun = time.process_time()
    states = prompted.states(input_ids=ids, attention_mask=mask, use_cache=False)
    (states * mask[..., None]).sum(1).square().mean().backward()
    return time.process_time() - begun


def measured(backbone: Any, folder: Path, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row a task and method."""
    import softprompt as sp

    for name, place in TASKS.items():
        found = batches(sp.Task.load(name, data=folder / place, seed=13), backbone.tokenizer, options.rows)
        full = sum(int(one["attention_mask"].sum()) for one in found) / sum(one["input_ids"].numel() for one in found)
        for method in METHODS:
            with sp.attach(*backbone, sp.method(method), seed=0) as prompted:
                prompted.train()
                spent = [
                    [seconds(prompted, one, as_one=as_one) for as_one in (True, False)]
                    for turn in range(options.rounds + 1)
                    for one in found
                ][len(found) :]
            own, padded = (statistics.median(one) for one in zip(*spent, strict=True))
            ratio = statistics.median(after / before for after, before in spent)
            yield {"task": name, "method": method, "full": full, "seconds": own, "padded": padded, "ratio": ratio}


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", default="embedded:minilm")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    import softprompt as sp

    torch.set_num_threads(1)
    backbone = sp.load_backbone(options.backbone, dtype="float32")
    rows = [*measured(backbone, options.data, options)]
    before = json.loads(options.results.read_text(encoding="utf-8")) if options.results.is_file() else {}
    found = {**before, options.backbone: {**processor(), "rows": rows}}
    lines = ["| backbone | task | method | columns of text | padded, s | one row, s | of the time |", "|---" * 7 + "|"]
    lines += [
        f"| {name} | {one['task']} | {one['method']} | {one['full']:.0%} | {one['padded']:.2f} | {one['seconds']:.2f} "
        f"| {one['ratio']:.2f} |"
        for name, of in found.items()
        for one in of["rows"]
    ]
    write(options.results, found, "\n".join([*lines, ""]))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
