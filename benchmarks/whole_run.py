"""A whole run of Prompt Tuning on film reviews beside PEFT with transformers' Trainer: seconds, accuracy, peak memory.

    python benchmarks/whole_run.py [--rows 96] [--epochs 1] [--test-rows 200] [--rounds 3]

192 reviews to train on and as many to validate on (`--rows` a class), 20 virtual tokens, Gemma 3 270M in bfloat16. PEFT
is used as its documentation shows it (labels of -100 but for the answer, `Trainer`, validation after each epoch); the
template, the rows, the first vectors, the optimiser, its rate and schedule and the batch size are ours for both, and
both validate after each epoch, ours before the first as well. An answer is the likelier of the two label words.
Counted is what follows once the model is loaded: encoding, training, validation and the test. Each side runs in
processes of its own, in turns; a round's ratio is of neighbours in time. With more epochs the table tells also when
either side's validation accuracy was first as high as some goals. Figures go to benchmarks/results/whole_run.json, or
whole_run-EPOCHS.json with more than one epoch, the table to a page beside them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from _common import in_a_process, write
from _machine import processor

RESULTS = Path(__file__).parent / "results"
SIDES = ("peft", "softprompt")
SEED, BATCH, VIRTUAL, MOST = 13, 16, 20, 256
GOALS = (0.6, 0.65, 0.7, 0.75, 0.8, 0.85)


Course = list[tuple[float, float]]  # seconds since the beginning and the validation accuracy, after each epoch


def ours(model: Any, tokenizer: Any, task: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Train by `softprompt.train`, which validates and tests as well."""
    import softprompt as sp
    from softprompt.progress import Progress
    from softprompt.training.fitting.stage import TRAINING

    begun, at = time.perf_counter(), {}

    class Clock(Progress):
        """When each step, and the validation behind it, was done."""

        @contextmanager
        def work(self, name: str, total: int, unit: str) -> Iterator[Callable[..., None]]:
            """Note the time of each step."""
            done = 0

            def tick(more: int = 1, note: str | None = None, total: int | None = None) -> None:
                nonlocal done
                done += more
                if name == TRAINING:
                    at[done] = time.perf_counter() - begun

            yield tick

    with tempfile.TemporaryDirectory() as folder:
        every = {"epochs": options.epochs, "evaluations": options.epochs, "patience": options.epochs}
        own = {"output": f"{folder}/run", "progress": Clock(shown=False), "batch_size": BATCH, **every}
        method = sp.PromptTuning(num_virtual_tokens=VIRTUAL)
        metrics = sp.train(model, tokenizer, task, method, seed=SEED, **own).metrics
    course = [(at[one["step"]], one["accuracy"]) for one in metrics["history"] if one["step"]]
    return {"course": course, **{part: metrics[part]["accuracy"] for part in ("validation", "test")}}


def peft(model: Any, tokenizer: Any, task: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Train by PEFT and `Trainer`."""
    import peft as library
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainerCallback, TrainingArguments

    import softprompt as sp

    begun = time.perf_counter()
    words = [f" {word}" for word in task.label_words()]
    ids = [tokenizer(word, add_special_tokens=False)["input_ids"][0] for word in words]
    splits = task.splits(SEED)
    with sp.attach(model, tokenizer, sp.PromptTuning(num_virtual_tokens=VIRTUAL), seed=SEED) as prompted:
        first = next(one for one in prompted.parameters() if one.requires_grad).detach().clone()
    wrapped = library.get_peft_model(
        model, library.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=VIRTUAL)
    )
    wrapped.prompt_encoder["default"].embedding.weight.data = first

    def encoded(part: str) -> list[dict[str, list[int]]]:
        found = []
        for row in getattr(splits, part):
            text = tokenizer(question(task, row), truncation=True, max_length=MOST)["input_ids"]
            answer = tokenizer(words[row.label], add_special_tokens=False)["input_ids"]
            labels = [-100] * len(text) + answer
            found.append({"input_ids": text + answer, "attention_mask": [1] * len(labels), "labels": labels})
        return found

    def of_words(logits: Any, labels: torch.Tensor) -> torch.Tensor:
        """The label words' logits where the answer is predicted, behind the virtual tokens: `(rows, classes)`."""
        logits = logits[0] if isinstance(logits, tuple) else logits
        place = (labels != -100).int().argmax(1) - 1 + logits.shape[1] - labels.shape[1]
        return logits[torch.arange(len(labels)), place][:, ids]

    def accuracy(found: Any) -> dict[str, float]:
        answers = [row[row != -100][0] for row in found.label_ids]
        right = [ids[one] == answer for one, answer in zip(found.predictions.argmax(-1), answers, strict=True)]
        return {"accuracy": sum(right) / len(right)}

    course: Course = []

    class Clock(TrainerCallback):
        def on_evaluate(self, *_: Any, metrics: dict[str, float], **__: Any) -> None:
            course.append((time.perf_counter() - begun, metrics["eval_accuracy"]))

    with tempfile.TemporaryDirectory() as folder:
        data = {"train_dataset": encoded("train"), "eval_dataset": encoded("validation")}
        trainer = Trainer(
            wrapped,
            arguments_of(TrainingArguments, folder, model, options),
            data_collator=DataCollatorForSeq2Seq(tokenizer),
            preprocess_logits_for_metrics=of_words,
            compute_metrics=accuracy,
            **data,
        )
        trainer.add_callback(Clock())
        trainer.train()
        test = trainer.predict(encoded("test")).metrics["test_accuracy"]
    return {"course": course, "validation": course[-1][1], "test": test}


def arguments_of(kind: Any, folder: str, model: Any, options: argparse.Namespace) -> Any:
    """What PEFT's documentation gives to `Trainer`, with the rate, the schedule and the batches of ours."""
    import softprompt as sp

    recipe = sp.method("prompt_tuning").recipes["gemma3_text"]
    return kind(
        folder,
        per_device_train_batch_size=BATCH,
        per_device_eval_batch_size=32,
        num_train_epochs=options.epochs,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=recipe.schedule,
        eval_strategy="epoch",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=model.device.type == "cpu",
        seed=SEED,
    )


def question(task: Any, row: Any) -> str:
    """The text of a row up to where its answer begins."""
    return task.template.replace("{text}", row.fields["text"]).removesuffix("{mask}").rstrip()


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
    return "\n".join([*lines, *(goals(found) if found["epochs"] > 1 else [])]) + "\n"


def goals(found: dict[str, Any]) -> Iterator[str]:
    """When each side's validation accuracy was first so high, a line a goal; medians over the rounds that got there."""
    yield "\n| validation accuracy | PEFT and Trainer, s | softprompt, s | faster |\n|---|---|---|---|"
    for goal in GOALS:
        reached = [{side: first(one[side]["course"], goal) for side in SIDES} for one in found["rounds"]]
        if any(one["softprompt"] for one in reached):
            both = [one["peft"] / one["softprompt"] for one in reached if one["peft"] and one["softprompt"]]
            cells = [[one[side] for one in reached if one[side]] for side in SIDES]
            told = [f"{statistics.median(cell):.1f}" if cell else f"not in {found['epochs']} epochs" for cell in cells]
            yield f"| {goal:.2f} | {' | '.join(told)} | {f'{statistics.median(both):.1f}x' if both else ''} |"


def first(course: Course, goal: float) -> float | None:
    """The seconds until a validation reached a goal; None where none did."""
    return next((seconds for seconds, accuracy in course if accuracy >= goal), None)


def main() -> None:
    """Parse, measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="embedded:gemma3-270m")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--rows", type=int, default=96, help="a class, to train on and to validate on")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--test-rows", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
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
        figures = [name for name in rounds[0][side] if name != "course"]
        found[side] = {name: statistics.median(one[side][name] for one in rounds) for name in figures}
    write(RESULTS / f"whole_run{'' if options.epochs == 1 else f'-{options.epochs}'}.json", found, table(found))
    print(table(found))


if __name__ == "__main__":
    main()
