"""What a processor can do, what a step asks of it, and where the step's time goes."""

from __future__ import annotations

import math
import os
import platform
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

SIZE = 2048  # rows and columns of the product that the peak is measured with
ROUNDS = 12
# Kinds of operations by what their names hold; the first that fits.
KINDS = {
    "products": ("mm", "linear", "matmul", "mv", "dot"),
    "attention": ("attention", "softmax"),
    "activations": ("gelu", "silu", "tanh", "relu", "sigmoid"),
    "norms": ("norm", "rsqrt", "mean", "pow", "var"),
    "copies": ("copy", "clone", "cat", "index", "gather", "embedding", "contiguous", "fill", "zero", "masked"),
    "additions and multiplications": ("add", "mul", "sub", "div", "neg", "sum"),
}


def processor() -> dict[str, object]:
    """Cores, threads and the kind of the processor: what of it this library's types can use."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split("flags", 1)[1].split("\n", 1)[0].split())
    except (OSError, IndexError):
        flags = set()
    known = ("amx_bf16", "avx512_bf16", "avx512f", "avx2")
    kind = next((name.upper() for name in known if name in flags), platform.machine())
    return {"processor": kind, "cores": os.cpu_count(), "threads": torch.get_num_threads()}


def peak_of(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of a large square product: the best of some, by what a `Linear` calls and by oneDNN."""
    from softprompt.backbones.onednn import by_onednn, fits_onednn

    left, right = (torch.randn(SIZE, SIZE, device=device).to(dtype) for _ in range(2))
    best = float("inf")
    for linear in (torch.nn.functional.linear, *([by_onednn] if fits_onednn(left, right) else [])):
        for _ in range(ROUNDS):
            _settle(device)
            begun = time.perf_counter()
            linear(left, right)
            _settle(device)
            best = min(best, time.perf_counter() - begun)
    return 2 * SIZE**3 / best


def counted(step: Callable[[], object]) -> int:
    """Floating-point operations of the products and attentions of a step, as they run; a fused product counts once."""
    linear = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    with FlopCounterMode(display=False, custom_mapping={} if linear is None else {linear: _of_linear}) as counter:
        step()
    return int(counter.get_total_flops())


def _of_linear(given: tuple[int, ...], weight: tuple[int, ...], *_: object, **__: object) -> int:
    """The operations of a linear layer by oneDNN, which torch's counter does not know."""
    return 2 * math.prod(given) * weight[0]


def kinds(step: Callable[[], object]) -> dict[str, float]:
    """The share of a step's processor time that each kind of operation takes, largest first."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        step()
    spent: dict[str, float] = defaultdict(float)
    for event in profile.key_averages():
        name = event.key.removeprefix("aten::").lower()
        kind = next((kind for kind, parts in KINDS.items() if any(part in name for part in parts)), "the rest")
        spent[kind] += event.self_cpu_time_total
    total = sum(spent.values())
    return {kind: value / total for kind, value in sorted(spent.items(), key=lambda pair: -pair[1])}


def _settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
