"""What fusing would gain in a frozen layer of Gemma 3 270M on a CPU: a compiler's kernels beside torch's operations.

    python benchmarks/fused.py [--rows 1040] [--turns 25]

Inductor, torch's compiler, makes one kernel of the gated activation gelu(g) * u, of its backward pass, and of an
RMSNorm; `exponential` has the same activation written by one exponential, which Inductor computes more cheaply than
the tangent. `in the product` is oneDNN's product with the activation, or the multiplication, at its end, which keeps no
value for a backward pass. All take turns in one process with one thread; what counts is processor time, the median of
the turns, and for each the seconds of compiling it first. Figures go to benchmarks/results/fused.json, the table to
fused.md beside it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _common import write
from _machine import processor
from torch import Tensor

from softprompt.backbones.freed import keep_freed

RESULTS = Path(__file__).parent / "results" / "fused.json"
HIDDEN, INNER, EPS = 640, 2048, 1e-6
_SLOPE, _CUBE = 2 * (2 / torch.pi) ** 0.5, 0.044715  # gelu(x) = x * sigmoid(_SLOPE * (x + _CUBE * x^3)), about
Side = Callable[[], object]


def gelu(states: Tensor) -> Tensor:
    """As Gemma has it."""
    return torch.nn.functional.gelu(states, approximate="tanh")


def gated(gate: Tensor, up: Tensor) -> Tensor:
    """What enters the feed-forward's last product."""
    return gelu(gate) * up


def gated_back(back: Tensor, gate: Tensor, up: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
    """Its gradients, with the activation that autograd keeps of the forward pass."""
    return torch.ops.aten.gelu_backward(back * up, gate, approximate="tanh"), back * active


def exponential(gate: Tensor, up: Tensor) -> Tensor:
    """`gated` by one exponential, in fp32."""
    whole = gate.float()
    return (whole * torch.sigmoid(_SLOPE * whole * (1 + _CUBE * whole * whole))).to(gate.dtype) * up


def exponential_back(back: Tensor, gate: Tensor, up: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
    """`gated_back` likewise, which needs no activation."""
    del active
    whole, given = gate.float(), back.float()
    share = torch.sigmoid(_SLOPE * whole * (1 + _CUBE * whole * whole))
    made = whole * share
    slope = share + made * (1 - share) * _SLOPE * (1 + 3 * _CUBE * whole * whole)
    return (given * up.float() * slope).to(gate.dtype), (given * made).to(gate.dtype)


def norm(states: Tensor, weight: Tensor) -> Tensor:
    """Gemma's RMSNorm."""
    whole = states.float()
    unit = whole * torch.rsqrt(whole.pow(2).mean(-1, keepdim=True) + EPS)
    return (unit * (1 + weight.float())).to(states.dtype)


def timed(sides: dict[str, Side], turns: int) -> dict[str, float]:
    """Milliseconds of each side."""
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(turns + 3):
        for name, side in sides.items():
            begun = time.process_time()
            side()
            if turn >= 3:  # the first ones warm up
                spent[name].append(1000 * (time.process_time() - begun))
    return {name: statistics.median(one) for name, one in spent.items()}


def compiled(function: Callable[..., Any], *given: Tensor) -> tuple[Callable[..., Any], float]:
    """A function by Inductor, and the seconds until it gave something first."""
    begun, made = time.perf_counter(), torch.compile(function, dynamic=True)
    made(*given)
    return made, time.perf_counter() - begun


def measured(rows: int, dtype: torch.dtype, turns: int) -> list[dict[str, Any]]:
    """A row for each part."""
    gate, up, back = (torch.randn(rows, INNER, dtype=dtype) for _ in range(3))
    states, gains = torch.randn(rows, HIDDEN, dtype=dtype), torch.randn(HIDDEN, dtype=dtype)
    weight = torch.randn(INNER, HIDDEN, dtype=dtype) / HIDDEN**0.5
    parts = {
        "gated activation": (gated, exponential, (gate, up)),
        "its backward pass": (gated_back, exponential_back, (back, gate, up, gelu(gate))),
        "RMSNorm": (norm, None, (states, gains)),
    }
    found = []
    for part, (own, other, given) in parts.items():
        one, seconds = compiled(own, *given)
        sides: dict[str, Side] = {"torch": lambda: own(*given), "inductor": lambda: one(*given)}  # noqa: B023
        if other is not None:
            two, _ = compiled(other, *given)
            sides["exponential"] = lambda: two(*given)  # noqa: B023
        found.append({"part": part, "compile_seconds": seconds, **timed(sides, turns)})
    linear = torch.ops.mkldnn._linear_pointwise
    sides = {
        "torch": lambda: gelu(linear(states, weight, None, "none", [], "")),
        "in the product": lambda: linear(states, weight, None, "gelu", [], "tanh"),
    }
    found.append({"part": "product and activation", "compile_seconds": None, **timed(sides, turns)})
    return [{"dtype": str(dtype)[6:], "rows": rows, **row} for row in found]


def table(found: list[dict[str, Any]], machine: dict[str, Any]) -> str:
    """A line for each measurement."""
    sides = ("torch", "inductor", "exponential", "in the product")
    lines = [
        f"Milliseconds of one thread of {machine['processor']}, {found[0]['rows']} rows, torch {torch.__version__}.\n",
        "| part | type | torch's own | by Inductor | with an exponential | in the product | compiling, s |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found:
        cells = [f"{row[side]:.2f}" if side in row else "" for side in sides]
        cells.append("" if row["compile_seconds"] is None else f"{row['compile_seconds']:.1f}")
        lines.append(f"| {row['part']} | {row['dtype']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Parse, measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1040, help="columns of a batch, as 16 rows of 64 tokens and a slot")
    parser.add_argument("--turns", type=int, default=25)
    options = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed()  # as a training does: a page that the system has to give counts on neither side
    with torch.no_grad():
        found = [
            row for dtype in (torch.bfloat16, torch.float32) for row in measured(options.rows, dtype, options.turns)
        ]
    machine = processor()
    write(RESULTS, {"machine": machine, "parts": found}, table(found, machine))
    print(table(found, machine))


if __name__ == "__main__":
    main()
