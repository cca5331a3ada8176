"""What is written out on a CPU beside what the model runs: attention of one layer, one RMSNorm, and one GELU.

    python benchmarks/written_out.py [--parts attention norm activation] [--rows 16] [--rounds 9]

Both sides take the same states in turns in one process, with one thread, and processor time is measured, so that the
ratio is one of the same minutes. In attention half of the rows are half as long as the others; a norm is passed forward
and backward. `written_attention`, `norms` and `activations` of `softprompt.sites` say where which is taken. Figures go
to benchmarks/results/written_out.json, the tables to written_out.md beside it; parts that are not named are kept there.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from _common import read, write
from torch import Tensor, nn
from transformers.activations import ACT2FN

from softprompt.sites.activations import written

RESULTS = Path(__file__).parent / "results" / "written_out.json"
# Heads, heads of keys, their size, and whether a column sees those after it: Gemma 3 270M, MiniLM, BERT-Base.
SHAPES = {"gemma3-270m": (4, 1, 256, False), "minilm": (12, 12, 32, True), "bert-base": (12, 12, 64, True)}
LENGTHS = (56, 128, 256)
TYPES = (torch.bfloat16, torch.float32)
ACTIVATIONS = {"gemma3-270m": ("gelu_pytorch_tanh", 2048), "gpt2": ("gelu_new", 3072)}
Side = Callable[..., Tensor]
Cases = Iterator[tuple[dict[str, Any], Callable[[], dict[str, float]]]]


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The medians of every shape, length, type and pass of the parts that are asked for."""
    torch.set_num_threads(1)
    found = []
    for part in options.parts:
        for own, turns in CASES[part](options):
            found.append({"part": part, **own, **turns()})
            print(found[-1], flush=True)
    return found


def attentions(options: argparse.Namespace) -> Cases:
    """Attention of three backbones at three lengths."""
    for name, (heads, groups, size, both) in SHAPES.items():
        for length, dtype, backward in itertools.product(LENGTHS, TYPES, (True, False)):
            own = {"shape": name, "length": length, "dtype": str(dtype)[6:], "backward": backward}
            shape = (options.rows, length, heads, groups, size)
            yield own, partial(in_turns, shape, dtype, options.rounds, both=both, backward=backward)


def norms(options: argparse.Namespace) -> Cases:
    """A norm of Gemma 3."""
    for length, dtype in itertools.product(LENGTHS, TYPES):
        own = {"shape": "gemma3-270m", "length": length, "dtype": str(dtype)[6:], "backward": True}
        yield own, partial(norms_in_turns, (options.rows, length, 640), dtype, options.rounds)


def activations(options: argparse.Namespace) -> Cases:
    """The GELU of two backbones."""
    for (name, (kind, size)), length, dtype, backward in itertools.product(
        ACTIVATIONS.items(), LENGTHS, TYPES, (True, False)
    ):
        own = {"shape": name, "length": length, "dtype": str(dtype)[6:], "backward": backward}
        sides: dict[str, Side] = {"own": ACT2FN[kind], "written": written}
        yield own, partial(timed, sides, [(options.rows, length, size)], dtype, options.rounds, backward=backward)


def in_turns(
    shape: tuple[int, ...], dtype: torch.dtype, rounds: int, *, both: bool, backward: bool
) -> dict[str, float]:
    """Attention by both sides."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    from softprompt.sites.written_attention import attended

    rows, length, heads, groups, size = shape
    module = nn.Module()
    module.num_key_value_groups, module.is_causal = heads // groups, not both
    mask = torch.ones(rows, 1, length, length, dtype=torch.bool)
    mask = mask if both else mask.tril()
    mask[::2, :, :, length // 2 :] = False
    sides: dict[str, Side] = {
        "own": lambda *given: sdpa_attention_forward(module, *given, mask, scaling=size**-0.5)[0],
        "written": lambda *given: attended(*given, mask, size**-0.5).contiguous(),
    }
    drawn = [(rows, count, length, size) for count in (heads, groups, groups)]
    return timed(sides, drawn, dtype, rounds, backward=backward)


def norms_in_turns(shape: tuple[int, ...], dtype: torch.dtype, rounds: int) -> dict[str, float]:
    """A frozen norm of Gemma 3 by both sides."""
    from transformers.models.gemma3.modeling_gemma3 import Gemma3RMSNorm

    from softprompt.sites.norms import normed

    module = Gemma3RMSNorm(shape[-1]).to(dtype).requires_grad_(False)
    sides: dict[str, Side] = {"own": module, "written": lambda given: normed(module, module.forward, given)}
    return timed(sides, [shape], dtype, rounds, backward=True)


def timed(
    sides: dict[str, Side], shapes: list[tuple[int, ...]], dtype: torch.dtype, rounds: int, *, backward: bool
) -> dict[str, float]:
    """Milliseconds of each side and the median of the rounds' ratios."""
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for turn in range(rounds + 1):
        for side, function in sides.items():
            given = [torch.randn(shape, dtype=dtype, requires_grad=backward) for shape in shapes]
            begun = time.process_time()
            output = function(*given)
            if backward:
                output.backward(output.detach())
            if turn:  # the first one warms up
                seconds[side].append(time.process_time() - begun)
    ratio = statistics.median(one / other for one, other in zip(*seconds.values(), strict=True))
    return {**{side: 1000 * statistics.median(own) for side, own in seconds.items()}, "ratio": ratio}


def table(found: list[dict[str, Any]]) -> str:
    """A line for each measurement."""
    lines = [
        "| heads as in | tokens | type | passes | fused, ms | written out, ms | faster |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found:
        passes = "forward, backward" if row["backward"] else "forward"
        figures = f"{row['own']:.1f} | {row['written']:.1f} | {row['ratio']:.2f}x"
        lines.append(f"| {row['part']}, {row['shape']} | {row['length']} | {row['dtype']} | {passes} | {figures} |")
    return "\n".join(lines) + "\n"


CASES = {"attention": attentions, "norm": norms, "activation": activations}


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    kept = [row for row in read(RESULTS) if row["part"] not in options.parts]
    found = sorted([*kept, *measure(options)], key=lambda row: list(CASES).index(row["part"]))
    write(RESULTS, found, table(found))
    print(table(found))


if __name__ == "__main__":
    main()
