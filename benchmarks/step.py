"""One training step of Prompt Tuning, side by side with PEFT: time and peak memory.

    python benchmarks/step.py [--rows 16] [--tokens 64] [--virtual 20] [--repeats 4] [--rounds 3]

Each side runs in processes of its own, in turns, from the same vectors on the same rows: forward, backward, update,
with the cross-entropy over the vocabulary at the last position of each row. The first step of a process warms it up and
is not counted; the times are medians over all others. The loss is compared, and each side's gradient with PEFT's in
float32, so both sides are known to do the same mathematics. Absolute times depend on the machine; read the ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file, save_file

SIDES = ("peft", "softprompt")
RESULTS = Path(__file__).parent / "results" / "step.json"


def batch_of(vocab_size: int, rows: int, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random ids `(rows, tokens)` and the id to predict after each row `(rows,)`."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(10, vocab_size, (rows, tokens), generator=generator)
    return ids, torch.randint(10, vocab_size, (rows,), generator=generator)


def ours(model: Any, tokenizer: Any, vectors: torch.Tensor, ids: torch.Tensor, goal: torch.Tensor) -> Any:
    """A step of softprompt: the head at the last position alone."""
    import softprompt as sp

    prompted = sp.attach(model, tokenizer, sp.PromptTuning(num_virtual_tokens=len(vectors))).train()
    table = prompted.prompts[0].table
    table.data.copy_(vectors)
    last = torch.full((len(ids), 1), ids.shape[1] - 1)
    return table, lambda: torch.nn.functional.cross_entropy(
        prompted(input_ids=ids, positions=last, use_cache=False).logits[:, 0].float(), goal
    )


def peft(model: Any, tokenizer: Any, vectors: torch.Tensor, ids: torch.Tensor, goal: torch.Tensor) -> Any:
    """A step of PEFT as its documentation shows it: labels of -100 but for the last position."""
    from peft import PromptTuningConfig, TaskType, get_peft_model

    config = PromptTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=len(vectors))
    wrapped = get_peft_model(model, config).train()
    table = wrapped.prompt_encoder["default"].embedding.weight
    table.data = vectors.clone()
    whole = torch.cat([ids, goal[:, None]], dim=1)
    labels = torch.full_like(whole, -100)
    labels[:, -1] = goal
    mask = torch.ones_like(whole)
    return table, lambda: wrapped(input_ids=whole, attention_mask=mask, labels=labels, use_cache=False).loss


def measure(side: str, dtype: str, options: argparse.Namespace, folder: Path) -> None:
    """Run one side in this process and print its numbers as JSON."""
    import softprompt as sp
    from softprompt.training.measure import peak_memory, reset_peak

    model, tokenizer = sp.load_backbone(options.backbone, dtype=dtype)
    ids, goal = batch_of(model.get_input_embeddings().num_embeddings, options.rows, options.tokens)
    vectors = torch.randn(options.virtual, model.config.hidden_size, generator=torch.Generator().manual_seed(1))
    table, loss_of = (ours if side == "softprompt" else peft)(model, tokenizer, vectors, ids, goal)
    optimizer = torch.optim.AdamW([table], lr=1e-3)
    reset_peak(model.device)
    seconds: list[float] = []
    first: dict[str, Any] = {}
    for repeat in range(options.repeats):
        start = time.monotonic()
        loss = loss_of()
        loss.backward()
        if repeat == 0:
            first = {"loss": float(loss.detach())}
            save_file({"gradient": table.grad.float().clone()}, folder / f"{side}-{dtype}.safetensors")
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.monotonic() - start)
    print(json.dumps({**first, "seconds": seconds[1:], "peak_bytes": peak_memory(model.device)}, allow_nan=False))


def run(side: str, dtype: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run one side in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--dtypes", dtype, "--folder", str(folder)]
    for name in ("backbone", "rows", "tokens", "virtual", "repeats"):
        command += [f"--{name}", str(getattr(options, name))]
    print(f"{side} {dtype} ...", file=sys.stderr, flush=True)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def compare(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Both sides in each type: times, memory, losses, and how far each gradient lies from PEFT's in float32."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reference = None
        for dtype in options.dtypes:
            turns = [{side: run(side, dtype, options, folder) for side in SIDES} for _ in range(options.rounds)]
            times = {side: [s for turn in turns for s in turn[side]["seconds"]] for side in SIDES}
            middle = {side: statistics.median(seconds) for side, seconds in times.items()}
            peak = {side: max(turn[side]["peak_bytes"] for turn in turns) for side in SIDES}
            gradients = {side: load_file(folder / f"{side}-{dtype}.safetensors")["gradient"] for side in SIDES}
            reference = gradients["peft"] if reference is None else reference
            found.append(
                {
                    "dtype": dtype,
                    "seconds": middle,
                    "all_seconds": times,
                    "peak_bytes": peak,
                    "speedup": middle["peft"] / middle["softprompt"],
                    "memory_share": peak["softprompt"] / peak["peft"],
                    "loss": {side: turns[0][side]["loss"] for side in SIDES},
                    "from_reference": {
                        s: float((g - reference).norm() / reference.norm()) for s, g in gradients.items()
                    },
                }
            )
    return found


def show(found: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """Print the table."""
    title = (
        f"one step of Prompt Tuning, {options.rows} rows x {options.tokens} tokens, {options.virtual} virtual tokens"
    )
    table = Table(title=title, title_justify="left")
    for column in ("type", "PEFT s", "ours s", "faster", "PEFT GB", "ours GB", "share", "loss apart", "gradient off"):
        table.add_column(column, justify="right")
    for row in found:
        seconds, peak = row["seconds"], row["peak_bytes"]
        table.add_row(
            row["dtype"],
            f"{seconds['peft']:.2f}",
            f"{seconds['softprompt']:.2f}",
            f"{row['speedup']:.1f}x",
            f"{peak['peft'] / 1e9:.2f}",
            f"{peak['softprompt'] / 1e9:.2f}",
            f"{row['memory_share']:.2f}",
            f"{abs(row['loss']['peft'] - row['loss']['softprompt']):.1e}",
            " / ".join(f"{row['from_reference'][side]:.1e}" for side in SIDES),
        )
    Console(width=110).print(table)
    print("gradient off: relative distance to PEFT's gradient in the first type, PEFT's own first, then ours")


def main() -> None:
    """Parse, measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="embedded:gemma3-270m")
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--virtual", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--side", choices=["softprompt", "peft"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        measure(options.side, options.dtypes[0], options, options.folder)
        return
    found = compare(options)
    show(found, options)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=2, allow_nan=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
