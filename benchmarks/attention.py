"""Attention written out beside torch's fused kernel, on a CPU: forward and backward of one layer, and forward alone.

    python benchmarks/attention.py [--rows 16] [--rounds 9]

Both sides take the same states in turns in one process, with one thread, and processor time is measured, so that the
ratio is one of the same minutes. Half of the rows are half as long as the others. `softprompt.sites.written_attention`
says where the first is taken. Figures go to benchmarks/results/attention.json, the table to attention.md beside it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

RESULTS = Path(__file__).parent / "results" / "attention.json"
# Heads, heads of keys, their size, and whether a column sees those after it: Gemma 3 270M, MiniLM, BERT-Base.
SHAPES = {"gemma3-270m": (4, 1, 256, False), "minilm": (12, 12, 32, True), "bert-base": (12, 12, 64, True)}
LENGTHS = (56, 128, 256)


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The medians of every shape, length, type and pass."""
    torch.set_num_threads(1)
    found = []
    for name, (heads, groups, size, both) in SHAPES.items():
        for length in LENGTHS:
            for dtype in (torch.bfloat16, torch.float32):
                for backward in (True, False):
                    shape = (options.rows, length, heads, groups, size)
                    own = {"shape": name, "length": length, "dtype": str(dtype)[6:], "backward": backward}
                    found.append({**own, **in_turns(shape, dtype, options.rounds, both=both, backward=backward)})
                    print(found[-1], flush=True)
    return found


def in_turns(
    shape: tuple[int, ...], dtype: torch.dtype, rounds: int, *, both: bool, backward: bool
) -> dict[str, float]:
    """Milliseconds of each side and the median of the rounds' ratios."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    from softprompt.sites.written_attention import attended

    rows, length, heads, groups, size = shape
    module = nn.Module()
    module.num_key_value_groups, module.is_causal = heads // groups, not both
    mask = torch.ones(rows, 1, length, length, dtype=torch.bool)
    mask = mask if both else mask.tril()
    mask[::2, :, :, length // 2 :] = False
    sides = {
        "fused": lambda *given: sdpa_attention_forward(module, *given, mask, scaling=size**-0.5)[0],
        "written": lambda *given: attended(*given, mask, size**-0.5).contiguous(),
    }
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for turn in range(rounds + 1):
        for side, function in sides.items():
            given = [states(rows, length, count, size, dtype, backward) for count in (heads, groups, groups)]
            begun = time.process_time()
            output: Tensor = function(*given)
            if backward:
                output.backward(output.detach())
            if turn:  # the first one warms up
                seconds[side].append(time.process_time() - begun)
    ratio = statistics.median(one / other for one, other in zip(*seconds.values(), strict=True))
    return {**{side: 1000 * statistics.median(own) for side, own in seconds.items()}, "ratio": ratio}


def states(rows: int, length: int, heads: int, size: int, dtype: torch.dtype, backward: bool) -> Tensor:
    """Random ones as a layer has them, `(rows, heads, length, size)`."""
    made = torch.randn(rows, length, heads, size, dtype=dtype)
    return made.transpose(1, 2).requires_grad_(backward)


def table(found: list[dict[str, Any]]) -> str:
    """A line for each measurement."""
    lines = [
        "| heads as in | tokens | type | passes | fused, ms | written out, ms | faster |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found:
        passes = "forward, backward" if row["backward"] else "forward"
        figures = f"{row['fused']:.1f} | {row['written']:.1f} | {row['ratio']:.2f}x"
        lines.append(f"| {row['shape']} | {row['length']} | {row['dtype']} | {passes} | {figures} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=9)
    found = measure(parser.parse_args())
    RESULTS.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    RESULTS.with_suffix(".md").write_text(table(found), encoding="utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
