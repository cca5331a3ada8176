"""A frozen linear layer in float32, forward and back to its input: torch's own product beside oneDNN's.

    python benchmarks/products.py

torch's is that of the BLAS that it was built with. Both take turns in one process, on one thread; what counts is the
processor time, the median of `--turns`. The library takes oneDNN's where it is faster, from the sizes on that
`softprompt.sites.products` names.

Figures go to benchmarks/results/products.json, the table to products.md.
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

RESULTS = Path(__file__).parent / "results" / "products.json"
WEIGHTS = ((384, 384), (1536, 384), (2048, 640), (640, 2048), (3072, 768))
ROWS = (1, 4, 8, 16, 64, 512, 1344)
_LONG = 2e9  # operations that a turn repeats up to


def seconds(linear: Callable[..., Tensor], given: Tensor, weight: Tensor, back: Tensor, times: int) -> float:
    """Of one layer, forward and back to its input."""
    begun = time.process_time()
    for _ in range(times):
        torch.autograd.grad(linear(given, weight), given, back)
    return (time.process_time() - begun) / times


def measured(rows: int, outputs: int, inputs: int, turns: int) -> dict[str, Any]:
    """Both ways in turns: GFLOP/s of each, and the median of the ratio."""
    from softprompt.backbones.onednn import by_onednn

    given, weight, back = torch.randn(rows, inputs), torch.randn(outputs, inputs), torch.randn(rows, outputs)
    given.requires_grad_()
    operations = 4 * rows * outputs * inputs
    times = max(1, min(100, int(_LONG / operations)))
    spent = [
        [seconds(linear, given, weight, back, times) for linear in (torch.nn.functional.linear, by_onednn)]
        for _ in range(turns + 1)
    ][1:]
    own, other = (statistics.median(one) for one in zip(*spent, strict=True))
    return {
        "rows": rows,
        "weight": [outputs, inputs],
        "torch_gflops": round(operations / own / 1e9, 1),
        "onednn_gflops": round(operations / other / 1e9, 1),
        "times_as_fast": round(statistics.median(one / two for one, two in spent), 2),
    }


def main() -> None:
    """Measure every size and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    sizes = [measured(rows, *weight, options.turns) for weight in WEIGHTS for rows in ROWS]
    found = {**processor(), "torch": torch.__version__, "vendor": vendor(), "sizes": sizes}
    lines = ["| weight | rows | torch, GFLOP/s | oneDNN, GFLOP/s | times as fast |", "|---|---|---|---|---|"]
    lines += [
        f"| {one['weight'][0]} x {one['weight'][1]} | {one['rows']} | {one['torch_gflops']:.0f} "
        f"| {one['onednn_gflops']:.0f} | {one['times_as_fast']:.2f} |"
        for one in sizes
    ]
    told = f"One thread of {found['vendor']}, {found['processor']}, torch {found['torch']}, float32."
    write(options.results, found, "\n".join([told, "", *lines, ""]))


def vendor() -> str:
    """Who made the processor, which MKL asks for."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("vendor_id")), "an unknown maker")


if __name__ == "__main__":
    main()
