"""What a prompt that leaves the lowest layers alone saves, and a head alone: a step with and without kept states.

    python benchmarks/below.py --data FOLDER/SST-2 [--backbone embedded:gemma3-270m] [--steps 8]

Both sides take the same rows in turns, in one process, so that the ratio is one of the same minutes. The whole step
runs all layers forward; its backward pass ends at the lowest prompted one, as it does anyway. The other begins there:
with m of L layers left out, 2L - m passes through a layer become 2(L - m), which bounds what can be saved. The prompt
is SPT's; of a head alone the pooled states are kept. Figures go to benchmarks/results/below.json, the table to below.md
beside it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path
from typing import Any

from _common import write

RESULTS = Path(__file__).parent / "results" / "below.json"
HEAD = "head alone"


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The seconds of a step for each choice of layers."""
    import softprompt as sp
    from softprompt.backbones.backbone import Backbone
    from softprompt.cli.common import quiet
    from softprompt.methods import SPT, HeadOnly
    from softprompt.readouts.build import build_readout
    from softprompt.training.fitting.trainer import TaskModel
    from softprompt.training.options import TrainingOptions
    from softprompt.training.setup import readout_spec

    quiet()
    model, tokenizer = sp.load_backbone(options.backbone)
    task = sp.Task.load("sst2", data=options.data, seed=13, max_test_rows=1)
    rows = []
    for select in options.select:
        method = HeadOnly() if select == HEAD else SPT(select=select)
        with sp.attach(model, tokenizer, method, seed=13) as prompted:
            spec = readout_spec(model, task, method, TrainingOptions())
            trained = TaskModel(prompted, build_readout(task, Backbone(model, tokenizer), prompted.prompts[0], spec))
            items = [trained.readout.encode(row) for row in task.splits(13).train[:16]]
            rows.append({"select": select, **steps(trained, items, options.steps), "backbone": options.backbone})
        print(rows[-1], flush=True)
    return rows


def steps(trained: Any, items: list[Any], count: int) -> dict[str, Any]:
    """Medians over the steps of both sides."""
    import torch

    from softprompt.inference.prefilled import beginning_above
    from softprompt.sites.kept_room import Room
    from softprompt.training.fitting.frozen_states import collate_kept, keep_pooled, keep_states_below

    prompted, readout, seconds = trained.prompted, trained.readout, {"whole": [], "kept": []}
    own = [one for one in trained.parameters() if one.requires_grad]
    alone = not any(one.requires_grad for one in prompted.prompts.parameters())
    first, begun, kept = prompted.anatomy.num_layers if alone else prompted.first_layer, time.perf_counter(), None
    if alone:
        kept = keep_pooled(prompted, readout, items, batch_size=16)
    elif first:
        kept = keep_states_below(prompted, readout, items, train=True, batch_size=16, room=Room())
    once = time.perf_counter() - begun if kept else 0.0
    optimizer = torch.optim.AdamW(own, lr=1e-3)
    for step in range(count + 1):
        for side in seconds if kept else ["whole"]:
            begun = time.perf_counter()
            trained.train()
            given = kept if side == "kept" else items
            batch = collate_kept(readout, given) if alone else readout.collate(given, train=True)
            with beginning_above(prompted, given):
                trained(batch).backward()
            optimizer.step()
            optimizer.zero_grad()
            if step:  # the first one warms up
                seconds[side].append(time.perf_counter() - begun)
    whole = statistics.median(seconds["whole"])
    short = statistics.median(seconds["kept"]) if kept else whole
    return {
        "first_layer": first,
        "layers": prompted.anatomy.num_layers,
        "whole": whole,
        "kept": short,
        "ratio": whole / short,
        "once": once,
        "cores": os.cpu_count(),
        "steps": count,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """One row a choice of layers."""
    lines = [
        "| layers | lowest of them | whole step, s | with kept states, s | faster | keeping them, s |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['select']} | {row['first_layer']} of {row['layers']} | {row['whole']:.2f} | {row['kept']:.2f} "
        f"| {row['ratio']:.2f}x | {row['once']:.2f} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", default="embedded:gemma3-270m")
    parser.add_argument(
        "--select", nargs="+", default=["all", "5,7,9,11,13,15,16,17", "middle", "last:8", "last:4", HEAD]
    )
    parser.add_argument("--steps", type=int, default=8)
    found = measure(parser.parse_args())
    write(RESULTS, found, table(found))
    print(table(found))


if __name__ == "__main__":
    main()
