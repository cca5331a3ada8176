"""What a prompt behind the text of a causal model saves: one training step with and without what is kept of the text.

    python benchmarks/behind.py --data FOLDER [--backbone embedded:gemma3-270m] [--steps 8]

FOLDER has the data sets by the names that `TASKS` below gives them. Both sides take the same rows in turns, in one
process, and the ratio is the median of those of the pairs, so that it is one of the same minutes. The whole step runs
all columns, forward and backward; the other runs the virtual tokens and what stands behind them, over the keys and
values of the text: `first` computes these in the step, as for a row that is not kept, `kept` has them in memory, as in
every epoch after the first, and `files` in files that are mapped, as where memory does not hold them all. Figures go
to benchmarks/results/behind.json, the table to behind.md beside it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from _common import write

RESULTS = Path(__file__).parent / "results" / "behind.json"
TASKS = {
    "sst2": ("glue/SST-2", "Review: {sentence}{prompt} Sentiment: {mask}"),
    "rte": ("superglue/RTE", "{premise} Hypothesis: {hypothesis}{prompt} Does it follow? {mask}"),
    "multirc": ("superglue/MultiRC", "{paragraph} Question: {question} Answer: {answer}{prompt} Is it right? {mask}"),
}


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The seconds of a step for each task and each length of the prompt."""
    import softprompt as sp
    from softprompt.backbones.backbone import Backbone
    from softprompt.cli.common import quiet
    from softprompt.methods import PromptTuning
    from softprompt.readouts.build import build_readout
    from softprompt.training.fitting.trainer import TaskModel
    from softprompt.training.options import TrainingOptions
    from softprompt.training.setup import readout_spec

    quiet()
    model, tokenizer = sp.load_backbone(options.backbone)
    found = []
    for name in options.tasks:
        folder, template = TASKS[name]
        task = sp.Task.load(name, data=options.data / folder, seed=13, max_test_rows=1)
        task = task.model_copy(update={"template": template, "templates": {}})
        for count in options.tokens:
            method = PromptTuning(num_virtual_tokens=count)
            with sp.attach(model, tokenizer, method, seed=13) as prompted:
                spec = readout_spec(model, task, method, TrainingOptions(max_length=options.max_length))
                readout = build_readout(task, Backbone(model, tokenizer), prompted.prompts[0], spec)
                trained = TaskModel(prompted, readout)
                items = [readout.encode(row) for row in task.splits(13).train[:16]]
                told = {"task": name, "tokens": count, **sizes(items, count), **steps(trained, items, options.steps)}
            found.append({**told, "backbone": options.backbone, "dtype": str(model.dtype), "cores": os.cpu_count()})
            print(found[-1], flush=True)
    return found


def sizes(items: list[Any], count: int) -> dict[str, Any]:
    """How many columns of a row are before the prompt, and from it on, on average."""
    texts = [item.texts[0].ids for item in items]
    before = statistics.mean(text.index(-1) for text in texts)
    return {"text": before, "behind": statistics.mean(map(len, texts)) - before, "rows": len(items)}


def steps(trained: Any, items: list[Any], count: int) -> dict[str, Any]:
    """Medians over the steps of the four sides."""
    import torch

    from softprompt.sites.kept_room import Room
    from softprompt.sites.kept_texts import KeptTexts
    from softprompt.training.fitting.frozen_states import keep_texts

    prompted, memory, place = trained.prompted, Room(), tempfile.gettempdir()
    texts = {
        "whole": None,
        "first": KeptTexts(Room(memory=0)),
        "kept": KeptTexts(memory),
        "files": KeptTexts(Room(Path(place), memory=0)),
    }
    seconds = {side: [] for side in texts}
    for side in ("kept", "files"):
        keep_texts(prompted, trained.readout, items, texts[side], train=True, batch_size=16)
    optimizer = torch.optim.AdamW(prompted.prompts.parameters(), lr=1e-3)
    for step in range(count + 1):
        for side, own in texts.items():
            begun = time.perf_counter()
            trained.train()
            with nullcontext() if own is None else prompted.keeping_texts(own):
                trained(trained.readout.collate(items, train=True)).backward()
            optimizer.step()
            optimizer.zero_grad()
            if step:  # the first one warms up
                seconds[side].append(time.perf_counter() - begun)
    pairs = {side: [a / b for a, b in zip(seconds["whole"], own, strict=True)] for side, own in seconds.items()}
    return {
        **{side: statistics.median(own) for side, own in seconds.items()},
        "ratio_first": statistics.median(pairs["first"]),
        "ratio_kept": statistics.median(pairs["kept"]),
        "ratio_files": statistics.median(pairs["files"]),
        "range_kept": [min(pairs["kept"]), max(pairs["kept"])],
        "bytes": Room().left - memory.left,
        "steps": count,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """One row a task and a length."""
    lines = [
        "| task | text, tokens | prompt | from the prompt on | whole step, s | text in the step, s | faster "
        "| text kept, s | faster | in files, s | faster | kept of a token, KiB |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['task']} | {row['text']:.0f} | {row['tokens']} | {row['behind']:.0f} | {row['whole']:.2f} "
        f"| {row['first']:.2f} | {row['ratio_first']:.1f}x | {row['kept']:.2f} | {row['ratio_kept']:.1f}x "
        f"| {row['files']:.2f} | {row['ratio_files']:.1f}x "
        f"| {row['bytes'] / (row['text'] * row['rows']) / 1024:.0f} |"
        for row in rows
    ]
    one, dtype = rows[0]["backbone"].removeprefix("embedded:"), rows[0]["dtype"].removeprefix("torch.")
    lines += [
        "",
        f"{rows[0]['rows']} rows a step, {one} in {dtype}, {rows[0]['cores']} CPU cores that others shared. The sides "
        "took turns in one process: `faster` is the",
        "median of the pairs' ratios; the seconds are medians of each side by itself, and hang on what else ran.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", default="embedded:gemma3-270m")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--tokens", nargs="+", type=int, default=[5, 20])
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--steps", type=int, default=8)
    found = measure(parser.parse_args())
    write(RESULTS, found, table(found))
    print(table(found))


if __name__ == "__main__":
    main()
