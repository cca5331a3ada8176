"""A whole run of Prompt Tuning on film reviews beside PEFT with transformers' Trainer: seconds, accuracy, peak memory.

    python benchmarks/whole_run.py [--rows 96] [--epochs 1] [--test-rows 200] [--rounds 3]

192 reviews to train on and as many to validate on (`--rows` a class), 20 virtual tokens, Gemma 3 270M in bfloat16. PEFT
is used as its documentation shows it (labels of -100 but for the answer, `Trainer`, validation after each epoch); the
template, the rows, the first vectors, the optimiser, its rate and schedule and the batch size are ours for both. Test
answers are the likelier of the two label words, in batches of 32. Counted is what follows once the model is loaded:
encoding, training, validation and the test. Each side runs in processes of its own, in turns; a round's ratio is of
neighbours in time. Figures go to benchmarks/results/whole_run.json, the table to whole_run.md beside it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from _common import in_a_process, write
from _machine import processor

RESULTS = Path(__file__).parent / "results" / "whole_run.json"
SIDES = ("peft", "softprompt")
SEED, BATCH, VIRTUAL, MOST = 13, 16, 20, 256


def ours(model: Any, tokenizer: Any, task: Any, options: argparse.Namespace) -> dict[str, float]:
    """Train by `softprompt.train`, which validates and tests as well."""
    import softprompt as sp

    with tempfile.TemporaryDirectory() as folder:
        own = {"output": f"{folder}/run", "progress": False, "epochs": options.epochs, "batch_size": BATCH}
        method = sp.PromptTuning(num_virtual_tokens=VIRTUAL)
        metrics = sp.train(model, tokenizer, task, method, seed=SEED, **own).metrics
    return {part: metrics[part]["accuracy"] for part in ("validation", "test")}


def peft(model: Any, tokenizer: Any, task: Any, options: argparse.Namespace) -> dict[str, float]:
    """Train by PEFT and `Trainer`."""
    import peft as library
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    import softprompt as sp

    words = [f" {word}" for word in task.label_words()]
    splits = task.splits(SEED)
    with sp.attach(model, tokenizer, sp.PromptTuning(num_virtual_tokens=VIRTUAL), seed=SEED) as prompted:
        first = next(one for one in prompted.parameters() if one.requires_grad).detach().clone()
    wrapped = library.get_peft_model(
        model, library.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=VIRTUAL)
    )
    wrapped.prompt_encoder["default"].embedding.weight.data = first
    texts = {part: [question(task, row) for row in getattr(splits, part)] for part in ("train", "validation", "test")}

    def encoded(part: str) -> list[dict[str, list[int]]]:
        found = []
        for text, row in zip(texts[part], getattr(splits, part), strict=True):
            ids = tokenizer(text, truncation=True, max_length=MOST)["input_ids"]
            answer = tokenizer(words[row.label], add_special_tokens=False)["input_ids"]
            labels = [-100] * len(ids) + answer
            found.append({"input_ids": ids + answer, "attention_mask": [1] * len(labels), "labels": labels})
        return found

    recipe = sp.method("prompt_tuning").recipes["gemma3_text"]
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            per_device_train_batch_size=BATCH,
            per_device_eval_batch_size=32,
            num_train_epochs=options.epochs,
            learning_rate=recipe.learning_rate,
            lr_scheduler_type=recipe.schedule,
            eval_strategy="epoch",
            save_strategy="no",
            prediction_loss_only=True,
            report_to=[],
            disable_tqdm=True,
            use_cpu=model.device.type == "cpu",
            seed=SEED,
        )
        collator = DataCollatorForSeq2Seq(tokenizer)
        data = {"train_dataset": encoded("train"), "eval_dataset": encoded("validation")}
        Trainer(wrapped, arguments, data_collator=collator, **data).train()
    ids = [tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in words]
    parts = ("validation", "test")
    return {part: accuracy(wrapped, tokenizer, texts[part], getattr(splits, part), ids) for part in parts}


def question(task: Any, row: Any) -> str:
    """The text of a row up to where its answer begins."""
    return task.template.replace("{text}", row.fields["text"]).removesuffix("{mask}").rstrip()


def accuracy(wrapped: Any, tokenizer: Any, texts: list[str], rows: Any, ids: list[int]) -> float:
    """The share of rows whose own label word is the likelier."""
    right, device = 0, wrapped.device
    tokenizer.padding_side = "left"
    wrapped.eval()
    for start in range(0, len(texts), 32):
        batch = tokenizer(
            texts[start : start + 32], padding=True, truncation=True, max_length=MOST, return_tensors="pt"
        )
        with torch.no_grad():
            logits = wrapped(**batch.to(device)).logits[:, -1, ids]
        found = logits.argmax(-1).tolist()
        right += sum(one == row.label for one, row in zip(found, rows[start : start + 32], strict=True))
    return right / len(texts)


def measure(options: argparse.Namespace) -> None:
    """Run one side in this process and print its numbers as JSON."""
    import softprompt as sp
    from softprompt.cli.common import quiet
    from softprompt.training.measure import peak_memory, reset_peak

    quiet()
    model, tokenizer = sp.load_backbone(options.backbone, dtype=options.dtype)
    task = sp.Task.load("movie_reviews", shots=options.rows, max_test_rows=options.test_rows)
    reset_peak(model.device)
    begun = time.perf_counter()
    found = (ours if options.side == "softprompt" else peft)(model, tokenizer, task, options)
    own = {"seconds": time.perf_counter() - begun, "peak_bytes": peak_memory(model.device), **found}
    print(json.dumps(own, allow_nan=False))


def run(side: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run one side in a process of its own."""
    command = [sys.executable, __file__, "--side", side]
    for name in ("backbone", "dtype", "rows", "epochs", "test_rows"):
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    return in_a_process(side, command)


def table(found: dict[str, Any]) -> str:
    """One row a side."""
    ratio = found["ratio"]
    lines = [
        f"{2 * found['rows']} film reviews, {found['epochs']} epochs, {found['test_rows']} test rows, "
        f"{found['backbone']}, {found['dtype']}, {found['cores']} cores ({found['processor']}), "
        f"{len(found['ratios'])} rounds: {ratio:.1f}x ({min(found['ratios']):.1f} to {max(found['ratios']):.1f}).\n",
        "| side | seconds | peak, GB | validation | test |",
        "|---|---|---|---|---|",
    ]
    for side in SIDES:
        one = found[side]
        lines.append(
            f"| {'PEFT and Trainer' if side == 'peft' else 'softprompt'} | {one['seconds']:.1f} "
            f"| {one['peak_bytes'] / 1e9:.2f} | {one['validation']:.3f} | {one['test']:.3f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Parse, measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="embedded:gemma3-270m")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--rows", type=int, default=96, help="a class, to train on and to validate on")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--test-rows", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        measure(options)
        return
    rounds = [{side: run(side, options) for side in SIDES} for _ in range(options.rounds)]
    ratios = [one["peft"]["seconds"] / one["softprompt"]["seconds"] for one in rounds]
    names = ("backbone", "dtype", "rows", "epochs", "test_rows")
    found = {name: getattr(options, name) for name in names} | processor()
    found |= {"ratios": ratios, "ratio": statistics.median(ratios), "rounds": rounds}
    for side in SIDES:
        found[side] = {name: statistics.median(one[side][name] for one in rounds) for name in rounds[0][side]}
    write(options.results, found, table(found))
    print(table(found))


if __name__ == "__main__":
    main()
