"""How fast a device multiplies in each type: small products are tried once, and their rates kept in the user's cache.

Most processors multiply no bfloat16. torch then emulates it, and a training step takes fifty times as long as in
float32. Flags of the processor do not tell: the libraries may be held to less than it has
(`ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2`), and a build may lack what it could use. So a product is tried,
forward and backward as a frozen layer needs them, in every type. Decisions:

- A product grows until it takes some milliseconds, so that an emulated type costs no more than a fast one.
- Other programs do not decide. On the CPU one thread multiplies, and what counts is the time that it had of a core, not
  what it waited for one. Types take turns, and of each the best turn counts: what else runs slows single turns down,
  and never speeds one up.
- Nothing is drawn at random, so a seeded program goes on as if nothing had been measured.
- On a CPU float32 is tried by torch's own product and by oneDNN's, and the faster one is what the library computes with
  (`softprompt.sites.products`).
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

import torch
from pydantic import BaseModel, ConfigDict, Field
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn import functional

from softprompt.backbones.cache import cache_folder
from softprompt.backbones.onednn import by_onednn, has_onednn
from softprompt.cores import usable_cores
from softprompt.errors import SoftPromptError
from softprompt.files.whole import write_text

TYPES = ("float32", "bfloat16", "float16")

# A layer of Gemma 3 270M; rows grow fourfold until a product takes long enough for the clock.
_INPUTS, _OUTPUTS = 640, 2048
_ROWS_FIRST, _ROWS_MOST = 16, 16384
_LONG_ENOUGH = 0.005  # seconds
_TURNS, _TURNS_LEAST, _PATIENCE = 5, 3, 1.0  # turns of each type, and the seconds after which the least are enough
_ONEDNN, _CLEARLY = "onednn", 1.25  # how much faster oneDNN must be, so that chance never decides

# Windows counts a thread's time in sixtieths of a second.
_FINE = time.get_clock_info("thread_time").resolution < 1e-4

# Environment variables that tell torch's libraries what they may use begin with one of these.
_LIMITS = ("ATEN_", "DNNL_", "MKL_", "NVIDIA_TF32", "ONEDNN_", "TORCH_")
# The lines of /proc/cpuinfo that say what a core can do, on x86 and on ARM; others, as its clock, change all the time.
_ABLE = ("model name", "flags", "Features", "CPU implementer", "CPU part", "isa")


_Linear: TypeAlias = Callable[[Tensor, Tensor], Tensor]


class ProductRates(BaseModel):
    """GFLOP/s of a product, forward and backward, by type: of one core, or of a GPU; 0 where it has no such product.

    `onednn` tells whether the rate of float32 is that of oneDNN's product, and not that of torch's own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    float32: float = Field(gt=0, allow_inf_nan=False)
    bfloat16: float = Field(ge=0, allow_inf_nan=False)
    float16: float = Field(ge=0, allow_inf_nan=False)
    onednn: bool = False

    def slower(self, name: str, other: str) -> float:
        """How many times slower `name` is than `other`; infinity where the device has no product in it."""
        own: float = getattr(self, name)
        return getattr(self, other) / own if own else float("inf")


class Machine(BaseModel):
    """What rates depend on.

    Attributes:
        device: its name.
        processor: sha256 over what a core says of itself.
        cores: that this process may use.
        threads: of torch.
        torch: its version, and what it finds the processor able to.
        precision: of float32 products, which torch may be told to lower.
        limits: the environment variables that its libraries heed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    device: str
    processor: str
    cores: int
    threads: int
    torch: str
    precision: str
    limits: tuple[str, ...]


class _Kept(BaseModel):
    """A file of the cache."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    machine: Machine
    gflops: ProductRates


def measured_rates(device: torch.device) -> ProductRates:
    """The rates of this machine, tried once and kept for the next process.

    A cache that is damaged, of another machine or cannot be written is no fault: the products are tried anew.
    """
    return _rates_of(this_machine(device), device)


def this_machine(device: torch.device) -> Machine:
    """What the rates of a device depend on here."""
    named: Callable[[torch.device], str] | None = getattr(torch.get_device_module(device), "get_device_name", None)
    return Machine(
        device=device.type if named is None or device.type == "cpu" else f"{device.type} {named(device)}",
        processor=hashlib.sha256(_processor().encode()).hexdigest(),
        cores=usable_cores(),
        threads=torch.get_num_threads(),
        torch=f"{torch.__version__} {torch.backends.cpu.get_cpu_capability()}",
        precision=torch.get_float32_matmul_precision(),
        limits=tuple(sorted(f"{key}={value}" for key, value in os.environ.items() if key.startswith(_LIMITS))),
    )


def measure(device: torch.device) -> ProductRates:
    """Try products of some milliseconds in every type, in turns.

    Args:
        device: where to multiply.

    Returns:
        The rate of the best turn of each type.
    """
    # Not torch.set_num_threads, which leaves MKL in another state than it found it in.
    with threadpool_limits(limits=1, user_api="openmp"), torch.inference_mode(False), torch.enable_grad():
        tried = {name: _grown(getattr(torch, name), device) for name in TYPES}
        if device.type == "cpu" and has_onednn():
            tried[_ONEDNN] = _grown(torch.float32, device, by_onednn)
        products = {name: product for name, product in tried.items() if product is not None}
        best = dict.fromkeys((*TYPES, _ONEDNN), 0.0)
        begun = time.perf_counter()
        for turn in range(_TURNS):
            if turn >= _TURNS_LEAST and time.perf_counter() - begun > _PATIENCE:
                break
            for name, product in products.items():
                best[name] = max(best[name], product.flop / product.seconds() / 1e9)
    by_torch, other = best["float32"], best.pop(_ONEDNN)
    faster = other > _CLEARLY * by_torch
    return ProductRates(**{**best, "float32": other if faster else by_torch}, onednn=faster)


class _Product:
    """Rows through a frozen layer, and the gradient back to the rows.

    Args:
        rows: how many.
        dtype: of all numbers.
        device: where they are.
        linear: the layer's function.
    """

    def __init__(
        self, rows: int, dtype: torch.dtype, device: torch.device, linear: _Linear = functional.linear
    ) -> None:
        """See the class."""
        self.rows, self.linear = rows, linear
        self.clock = time.thread_time if device.type == "cpu" and _FINE else time.perf_counter
        self.flop = 4 * rows * _INPUTS * _OUTPUTS
        self.given = torch.full((rows, _INPUTS), 0.5, dtype=dtype, device=device, requires_grad=True)
        self.weight = torch.full((_OUTPUTS, _INPUTS), 0.01, dtype=dtype, device=device)
        self.back = torch.full((rows, _OUTPUTS), 0.5, dtype=dtype, device=device)

    def seconds(self) -> float:
        """The time of one product, forward and backward."""
        begun = self.clock()
        (gradient,) = torch.autograd.grad(self.linear(self.given, self.weight), self.given, self.back)
        gradient[0, 0].item()  # a GPU has finished once a number of it is here
        return self.clock() - begun


def _grown(dtype: torch.dtype, device: torch.device, linear: _Linear = functional.linear) -> _Product | None:
    """A product that takes long enough for the clock, once run; None where the device has none of the type."""
    rows = _ROWS_FIRST
    try:
        while True:
            product = _Product(rows, dtype, device, linear)
            product.seconds()  # the first one compiles
            if product.seconds() >= _LONG_ENOUGH or rows >= _ROWS_MOST:
                return product
            rows *= 4
    except (RuntimeError, TypeError) as error:
        if dtype == torch.float32 or isinstance(error, torch.OutOfMemoryError):
            raise
        return None


@functools.cache
def _rates_of(machine: Machine, device: torch.device) -> ProductRates:
    name = hashlib.sha256(machine.model_dump_json().encode()).hexdigest()[:16]
    kept = _read(f"rates-2-{name}.json")
    if kept is not None and kept.machine == machine:
        return kept.gflops
    rates = measure(device)
    with suppress(SoftPromptError, RuntimeError):  # where nothing can be kept, it is measured again next time
        write_text(
            cache_folder() / f"rates-2-{name}.json", _Kept(machine=machine, gflops=rates).model_dump_json() + "\n"
        )
    return rates


def _read(name: str) -> _Kept | None:
    """What the cache holds under a name; None where it holds nothing that can be read."""
    try:
        return _Kept.model_validate_json((cache_folder() / name).read_bytes())
    except (OSError, ValueError, RuntimeError):  # RuntimeError: a user without a home
        return None


def _processor() -> str:
    """What a core says of itself."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            first = file.read(1 << 14).partition("\n\n")[0]
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return "\n".join([platform.machine(), *(line for line in first.splitlines() if line.startswith(_ABLE))])
