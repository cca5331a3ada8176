"""The tanh form of GELU (Hendrycks and Gimpel 2016) on a CPU: forward written out, backward by torch's kernel.

As (1 + tanh u) / 2 = sigmoid(2 u), with c = 2 sqrt(2 / pi) and d = 0.044715 c,

    y = x / 2 * (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) = x sigmoid(x (c + d x^2))

Transformers writes it as a chain of eight operations (GPT-2, T5 1.1, Phi), each over all states, of which four are kept
for the backward pass; or it asks torch (Gemma), whose tangent is slow on a CPU. Here some states at a time pass through
five operations, so that what stands between stays in the processor's cache, in fp32, and the states alone are kept.
`benchmarks/written_out.py` measures both. Our choice; no method's mathematics changes.

Families call it by many names. So a module is tried once: what it makes of some numbers has to be this y.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import pi, sqrt
from typing import Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from softprompt.backbones.compat import HOOKS, parameters_of
from softprompt.backbones.onednn import is_bare
from softprompt.sites.asking import Beneath, own_class

_C = torch.tensor(2 * sqrt(2 / pi), dtype=torch.float32, device="cpu")
_D = 0.044715 * float(_C)
_PIECE = 1 << 17  # states at a time
_LEAST = 1 << 15  # states, below which the model's own is as quick
_TYPES = (torch.float32, torch.bfloat16)
_NEAR = 1e-5
# Of each module that was tried whether it is this function.
_FOUND: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()


def activations_of(modules: Iterable[nn.Module]) -> list[nn.Module]:
    """The modules that may be this activation: called a GELU, with no parameters and nothing inside."""
    return [
        module
        for module in modules
        if "gelu" in own_class(module).__name__.lower()
        and not parameters_of(module)
        and not list(module.buffers(recurse=False))
        and next(module.children(), None) is None
    ]


def activated(
    module: nn.Module, call: object, beneath: Beneath, args: tuple[object, ...], kwargs: dict[str, object]
) -> object:
    """What an activation makes of its states, written out where that is the same but for rounding.

    Args:
        module: of `activations_of`.
        call: that is open; nothing is asked of it.
        beneath: the module's own call.
        args: states of any shape.
        kwargs: by which none is known.
    """
    del call
    states = args[0] if len(args) == 1 and not kwargs else None
    if not isinstance(states, Tensor) or not _gains(states) or _is_heard(module) or not _is_tanh_gelu(module):
        return beneath(*args, **kwargs)
    return written(states)


def _gains(states: Tensor) -> bool:
    """Whether states are plain ones of the CPU, lie in order, and are many; a compiler is not asked how many."""
    return is_bare(states, states) and states.dtype in _TYPES and states.is_contiguous() and states.numel() >= _LEAST


def _is_heard(module: nn.Module) -> bool:
    return any(value for name, value in vars(module).items() if name.endswith(HOOKS))


class _Context(Protocol):
    """What a backward pass knows of its forward pass."""

    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor) -> None:
        """Keep tensors."""


class _Written(torch.autograd.Function):
    @staticmethod
    def forward(ctx: _Context, states: Tensor) -> Tensor:
        ctx.save_for_backward(states)
        output = torch.empty_like(states)
        for some, made in zip(states.view(-1).split(_PIECE), output.view(-1).split(_PIECE), strict=True):
            x = some.float()
            made.copy_(torch.addcmul(_C, x, x, value=_D).mul_(x).sigmoid_().mul_(x))
        return output

    @staticmethod
    def backward(ctx: _Context, gradient: Tensor) -> Tensor:
        made: Tensor = torch.ops.aten.gelu_backward(gradient, *ctx.saved_tensors, approximate="tanh")
        return made


written: Callable[[Tensor], Tensor] = _Written.apply


def _is_tanh_gelu(module: nn.Module) -> bool:
    if module not in _FOUND:
        _FOUND[module] = _tried(module)
    return _FOUND[module]


@torch.no_grad()
def _tried(module: nn.Module) -> bool:
    """Whether a module makes y of some numbers."""
    numbers = torch.linspace(-8, 8, 257, dtype=torch.float32, device="cpu")
    try:
        made = own_class(module).__call__(module, numbers)
    except Exception:  # a module may want other numbers, and raise anything
        return False
    fits = isinstance(made, Tensor) and (made.shape, made.dtype) == (numbers.shape, numbers.dtype)
    return fits and bool((made - gelu(numbers, approximate="tanh")).abs().max() <= _NEAR)
