"""Which type a backbone's weights take: the checkpoint's, unless the machine multiplies it more slowly than float32.

The rule of `auto`, whatever the device:

- A checkpoint in float32 (or any other type than the two below) stays as it is, and nothing is measured.
- A checkpoint in bfloat16 or float16 keeps its type where a product, forward and backward, is at least as fast in it
  as in float32 (see `softprompt.backbones.arithmetic`), and becomes float32 where it is not. Never the other half
  type: every number of either is one of float32 too, while the activations of models trained in bfloat16 (Gemma, T5)
  exceed 65,504, the largest number of float16, and bfloat16 would round a float16 checkpoint.
- On the CPU a float16 checkpoint becomes float32 at once: the gradients of a prompt fall below float16's smallest
  numbers, and few processors multiply it.

A type that is asked for is taken, and told where it is the slower one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from softprompt.backbones import arithmetic
from softprompt.errors import SoftPromptError

NAMES = ("auto", *arithmetic.TYPES)
_HALF = (torch.bfloat16, torch.float16)
# How many times slower is worth a line, and how many show that a type is emulated.
_WORTH_A_LINE, _EMULATED = 1.2, 4.0


@dataclass(frozen=True)
class Choice:
    """The type that a backbone takes.

    Attributes:
        dtype: of its weights.
        why: one line for the user; empty where there was nothing to choose.
        costly: whether it was asked for although another is faster here.
    """

    dtype: torch.dtype
    why: str = ""
    costly: bool = False


def check_dtype(asked: str | torch.dtype) -> str:
    """The name of a type that can be asked for.

    Raises:
        SoftPromptError: it cannot.
    """
    name = str(asked).removeprefix("torch.")
    if name not in NAMES:
        raise SoftPromptError(f"dtype {name!r} cannot be used: choose one of {', '.join(NAMES)}")
    return name


def choose_dtype(asked: str, stored: torch.dtype, device: torch.device) -> Choice:
    """The type to load a checkpoint in.

    Args:
        asked: `auto`, or the type to take.
        stored: of the checkpoint's weights.
        device: where the model will be.
    """
    best = _best(stored, device)
    taken = name_of(best.dtype)
    if asked == "auto" or asked == taken:
        return best if asked == "auto" else Choice(best.dtype)
    wanted = Choice(getattr(torch, asked))
    if taken not in arithmetic.TYPES:
        return wanted
    times = arithmetic.measured_rates(device).slower(asked, taken)
    if times < _WORTH_A_LINE:
        return wanted
    return Choice(wanted.dtype, f"{asked}, as asked: {_slow(asked, times, device, f' than {taken}')}", costly=True)


def name_of(dtype: torch.dtype) -> str:
    """As it is written: `float32`."""
    return str(dtype).removeprefix("torch.")


def _best(stored: torch.dtype, device: torch.device) -> Choice:
    """What `auto` takes."""
    if stored not in _HALF:
        return Choice(stored)
    name = name_of(stored)
    if stored == torch.float16 and device.type == "cpu":
        return Choice(torch.float32, "float32: the checkpoint is in float16, which is for GPUs")
    rates = arithmetic.measured_rates(device)
    times = rates.slower(name, "float32")
    if times > 1:
        return Choice(torch.float32, f"float32: {_slow(name, times, device)}")
    return Choice(stored, f"{name}: the checkpoint's type, {_times(1 / times)} as fast as float32 on {_here(device)}")


def _slow(name: str, times: float, device: torch.device, than: str = "") -> str:
    """Why a type is no good here."""
    if times == float("inf"):
        return f"{_here(device)} multiplies no {name}"
    if times >= _EMULATED and name != "float32":
        return f"{_here(device)} multiplies no {name} ({_times(times)} slower{than} when tried)"
    return f"{name} is {_times(times)} slower{than} on {_here(device)}"


def _here(device: torch.device) -> str:
    return {"cpu": "this processor", "cuda": "this GPU"}.get(device.type, f"this device ({device.type})")


def _times(ratio: float) -> str:
    return f"{ratio:.0f}x" if ratio >= 10 else f"{ratio:.1f}x"
