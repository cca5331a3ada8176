"""What `softprompt doctor` finds out about the machine: memory, rates of products, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from softprompt.backbones.arithmetic import ProductRates

# Seconds of one core that `make demo` takes: its products, and what is done beside them. Measured on two quiet cores at
# 200 GFLOP/s a core (bfloat16: 174 s) and at 95 (float32, AVX2: 271 s).
_DEMO_GFLOP, _DEMO_BESIDE = 35_000, 172


@dataclass(frozen=True)
class Check:
    """One line of the doctor's.

    Attributes:
        name: what was looked at.
        ok: whether it is well; None where nothing needs it.
        detail: what was found, for a reader.
        values: the same in numbers, for a program.
    """

    name: str
    ok: bool | None
    detail: str
    values: Mapping[str, object] = field(default_factory=dict)


def machine_checks() -> list[Check]:
    """Memory, the rates of every device, the type that a bfloat16 model takes, and how long the demo will."""
    import torch

    from softprompt.backbones import arithmetic
    from softprompt.backbones.dtype import choose_dtype, name_of

    devices = _devices()
    rates = {device: arithmetic.measured_rates(device) for device in devices}
    choice = choose_dtype("auto", torch.bfloat16, devices[0])
    on_cpu = choose_dtype("auto", torch.bfloat16, devices[-1])
    seconds = demo_seconds(getattr(rates[devices[-1]], name_of(on_cpu.dtype)), torch.get_num_threads())
    where = "" if devices[0].type == "cpu" else " on the processor, less on the GPU"
    return [
        _memory(),
        *(_products(device, found) for device, found in rates.items()),
        Check("dtype", True, f"embedded:gemma3-270m takes {choice.why}", {"dtype": name_of(choice.dtype)}),
        Check(
            "make demo", True, f"about {_minutes(seconds)}{where} (estimated from these rates)", {"seconds": seconds}
        ),
    ]


def demo_seconds(gflops: float, threads: int) -> int:
    """About how long `make demo` takes on a processor, installation apart.

    Args:
        gflops: GFLOP/s of a core in the type that its backbone takes.
        threads: of torch, each on a core of its own.
    """
    return round((_DEMO_GFLOP / gflops + _DEMO_BESIDE) / threads)


def _devices() -> list[torch.device]:
    """The device that `load_backbone` takes by default, other GPUs, and the CPU."""
    import torch

    return [*(torch.device("cuda", index) for index in range(torch.cuda.device_count())), torch.device("cpu")]


def _memory() -> Check:
    import psutil

    found = psutil.virtual_memory()
    detail = f"{found.total / 2**30:.1f} GiB, {found.available / 2**30:.1f} free"
    return Check("memory", True, detail, {"total_bytes": found.total, "free_bytes": found.available})


def _products(device: torch.device, rates: ProductRates) -> Check:
    found = rates.model_dump(exclude={"onednn"})
    told = ", ".join(f"{name} {rate:,.0f}" if rate else f"{name} none" for name, rate in found.items())
    each = " a core" if device.type == "cpu" else ""
    how = ", float32 by oneDNN" if rates.onednn else ""
    return Check(f"products on {device}", True, f"{told} GFLOP/s{each}{how}", {"gflops": found, "onednn": rates.onednn})


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} minutes"
