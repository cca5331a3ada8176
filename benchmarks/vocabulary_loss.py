"""The loss over the label words beside the loss over the vocabulary, on a causal model.

    python benchmarks/vocabulary_loss.py --task sst2 --data FOLDER/fewshot/SST-2
    python benchmarks/vocabulary_loss.py --task trec --data FOLDER/fewshot/trec
    python benchmarks/vocabulary_loss.py --task cb --data FOLDER/superglue/CB --shots 8 --rows 4

With logits z over the vocabulary V and the label words W of V, the right one y, the two are

    labels:      -log exp(z_y) / sum_{w in W} exp(z_w),      vocabulary: -log exp(z_y) / sum_{v in V} exp(z_v).

The first leaves every other word's score alone, so nothing says what a prompt generates. Measured of each: the accuracy
among the label words, which `predict` answers with; the accuracy of the first token that greedy `generate` gives; the
rank of the right word in the vocabulary (1 is the first), its median over the test rows; and the label words' share of
the probability.

Figures go to benchmarks/results/vocabulary_loss.json, tables to vocabulary_loss.md. A call that was stopped goes on
where it was; runs lie in `--out`.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from _common import KEPT, keep, read, run

RESULTS = Path(__file__).parent / "results" / "vocabulary_loss.json"
KEY = ("task", "backbone", "method", "loss", "seed")
LOSSES = ("labels", "vocabulary")


def run_all(options: argparse.Namespace) -> None:
    """Train every method with both losses, seed by seed, and write what there is after every run."""
    import softprompt as sp
    from softprompt.cli.common import quiet

    quiet()
    loaded = sp.load_backbone(options.backbone)
    known = {tuple(row[name] for name in KEY) for row in read(options.results)}
    for seed in options.seeds:
        task = sp.Task.load(
            options.task, data=options.data, shots=options.shots, seed=seed, max_test_rows=options.test_rows
        )
        for method in options.methods:
            for loss in LOSSES:
                if (task.name, options.backbone, method, loss, seed) in known:
                    continue
                print(f"== {task.name} {method} {loss} seed {seed}", flush=True)
                folder = options.out / f"{task.name}-{method}-{loss}-{seed}"
                training = {"max_steps": options.steps, "batch_size": options.rows, "evaluations": 2, "loss": loss}
                metrics = run(loaded, task, method, seed, folder, options.backbone, **training)
                if metrics is None:
                    continue
                found = read_words(sp.open_run(folder, *loaded).prompt, task.splits().test)
                own = {name: metrics[name] for name in ("task", "backbone", "method", "seed", *KEPT)}
                write(
                    keep(
                        options.results,
                        {**own, "loss": loss, "steps": options.steps, "rows_a_step": options.rows, **found},
                        KEY,
                    ),
                    options.results,
                )


def read_words(prompt: Any, rows: Sequence[Any]) -> dict[str, float]:
    """What the whole vocabulary's scores say of labelled rows, at the column where the answer begins."""
    import torch

    from softprompt.inference.batches import batches
    from softprompt.sites.modes import evaluating

    readout = prompt.readout
    words, items = torch.tensor(readout.words), [readout.encode(row) for row in rows]
    greedy, ranks, shares = [], [], []
    with prompt.attach() as prompted, evaluating(prompted, readout), torch.inference_mode():
        for _, batch in batches(items, readout.collate, 16, prompted):
            logits = readout.outputs(prompted, batch)
            right = logits.gather(1, words[batch["labels"]][:, None])
            above = (logits > right).sum(-1)
            ranks += (above + 1).tolist()
            greedy += (above == 0).tolist()
            shares += logits.softmax(-1)[:, words].sum(-1).tolist()
    return {
        "greedy_accuracy": statistics.mean(greedy),
        "median_rank": statistics.median(ranks),
        "mean_rank": statistics.mean(ranks),
        "label_words_share": statistics.mean(shares),
    }


def write(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """One table a task and backbone, and over all pairs of runs the difference of the two losses."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["task"], row["backbone"]), []).append(row)
    parts = [table(group) for group in groups.values()]
    path.with_suffix(".md").write_text("\n\n".join([*parts, differences(rows)]) + "\n", encoding="utf-8")


def table(rows: Sequence[dict[str, Any]]) -> str:
    """One task and backbone: means over the seeds."""
    first = rows[0]
    head = ["method", "loss", "seeds", "accuracy by label words", "accuracy of greedy generate"]
    head += ["median rank of the right word", "label words' share", "seconds"]
    lines = [
        f"## {first['task']}, {first['backbone']}: {first['steps']} steps of {first['rows_a_step']} rows, "
        f"{first['test']['rows']} test rows",
        "",
        f"| {' | '.join(head)} |",
        "|---" * len(head) + "|",
    ]
    for method in dict.fromkeys(row["method"] for row in rows):
        for loss in LOSSES:
            own = [row for row in rows if (row["method"], row["loss"]) == (method, loss)]
            if own:
                lines.append(f"| {method} | {loss} | {cells(own)} |")
    return "\n".join(lines)


def cells(rows: Sequence[dict[str, Any]]) -> str:
    """The means of some runs."""
    mean = {
        name: statistics.mean(row[name] for row in rows)
        for name in ("greedy_accuracy", "median_rank", "label_words_share", "train_seconds")
    }
    seeds = ", ".join(str(row["seed"]) for row in rows)
    accuracy = statistics.mean(row["test"]["accuracy"] for row in rows)
    return (
        f"{seeds} | {accuracy:.3f} | {mean['greedy_accuracy']:.3f} | {mean['median_rank']:.0f} | "
        f"{mean['label_words_share']:.3f} | {mean['train_seconds']:.0f}"
    )


def differences(rows: Sequence[dict[str, Any]]) -> str:
    """Vocabulary less labels, by pairs of one task, method and seed: mean and standard error of the accuracies."""
    found = {tuple(row[name] for name in KEY): row for row in rows}
    pairs = [(found.get((*key[:3], "labels", key[4])), row) for key, row in found.items() if key[3] == "vocabulary"]
    both = [(labels, vocabulary) for labels, vocabulary in pairs if labels is not None]
    if len(both) < 2:
        return "No two pairs yet."
    lines = [f"Vocabulary less labels over {len(both)} pairs of a task, a method and a seed:", ""]
    for name, read_off in (
        ("accuracy by label words", lambda row: row["test"]["accuracy"]),
        ("accuracy of greedy generate", lambda row: row["greedy_accuracy"]),
    ):
        less = [read_off(vocabulary) - read_off(labels) for labels, vocabulary in both]
        error = statistics.stdev(less) / len(less) ** 0.5
        better, worse = sum(one > 0 for one in less), sum(one < 0 for one in less)
        lines.append(
            f"- {name}: {statistics.mean(less):+.3f} (standard error {error:.3f}); better in {better}, worse in {worse}"
        )
    return "\n".join(lines)


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="sst2")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", default="embedded:gemma3-270m")
    parser.add_argument("--methods", nargs="+", default=["prompt_tuning", "capt"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[13, 21])
    parser.add_argument("--shots", type=int, default=16, help="rows a class to train on, and as many to validate")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--rows", type=int, default=8, help="a step")
    parser.add_argument("--test-rows", type=int, default=100)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, default=Path("runs/vocabulary_loss"))
    options = parser.parse_args()
    run_all(options)
    print(options.results.with_suffix(".md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
