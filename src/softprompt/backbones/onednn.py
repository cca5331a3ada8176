"""Linear layers in float32 by oneDNN, which torch asks for bfloat16 alone.

torch hands float32 products to the BLAS that it was built with, and MKL keeps its AVX-512 kernels for Intel's
processors. Measured on one core of an AMD EPYC with AVX512_BF16: 110 GFLOP/s by MKL and 245 by oneDNN, forward and
backward (`benchmarks/products.py`). Where that is so, `arithmetic.measured_rates` finds out by trying.

oneDNN writes a program for each number of rows, in a millisecond and 0.6 MB, half of which it never gives back. So
products have few sizes: `few` rounds a number of rows up to one of 32 an octave.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

_CPU = torch.device("cpu")
_PLAIN = (Tensor, torch.nn.Parameter)  # no part of a sharded or packed one, no tensor that only pretends

_LINEAR: Callable[..., Tensor] | None = getattr(torch.ops.mkldnn, "_linear_pointwise", None)


def has_onednn() -> bool:
    """Whether torch was built with what `by_onednn` calls."""
    return _LINEAR is not None and torch.backends.mkldnn.is_available()


class _Context(Protocol):
    """What a backward pass knows of its forward pass."""

    needs_input_grad: tuple[bool, ...]
    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors."""


def few(rows: int) -> int:
    """The next number of rows, at most a 32nd more, that products have: any below 64, then 32 an octave."""
    step = 1 << max(0, rows.bit_length() - 6)
    return -(-rows // step) * step


def _rounded(rows: Tensor) -> Tensor:
    """Rows `(R, inputs)`, and rows of zeros behind them up to one of few numbers."""
    more = few(len(rows)) - len(rows)
    return torch.nn.functional.pad(rows, (0, 0, 0, more)) if more else rows


class _Linear(torch.autograd.Function):
    """`given @ weight.T + bias` of rows, and its gradients by the same kernel; they can be differentiated again."""

    @staticmethod
    def forward(ctx: _Context, given: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """See `by_onednn`; what a frozen weight's gradient would need is not kept."""
        given_needs, weight_needs = ctx.needs_input_grad[:2]
        ctx.save_for_backward(given if weight_needs else None, weight if given_needs else None)
        assert _LINEAR is not None
        made = _LINEAR(_rounded(given), weight, bias, "none", [], "")
        return made.resize_(len(given), made.shape[-1])  # no view: see `by_onednn`

    @staticmethod
    def backward(ctx: _Context, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Towards the rows, the weight and the bias: each where it is needed."""
        (given, weight), needs = ctx.saved_tensors, ctx.needs_input_grad
        return (
            by_onednn(grad, weight.t()) if needs[0] else None,
            by_onednn(_rounded(grad).t(), _rounded(given).t()) if needs[1] else None,
            grad.sum(0) if needs[2] else None,
        )


_linear: Callable[[Tensor, Tensor, Tensor | None], Tensor] = _Linear.apply


def by_onednn(given: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """A linear layer by oneDNN, differentiable in all it is given.

    Args:
        given: float32 on the CPU, `(..., inputs)`.
        weight: the same, `(outputs, inputs)`; a transposed view will do.
        bias: the same, `(outputs,)`, or None.

    Returns:
        `(..., outputs)`, as `torch.nn.functional.linear` gives it but for rounding.
    """
    # What the function itself gives is no view, so that a model may go on with it in place (Gemma 3n).
    made = _linear(given.reshape(-1, given.shape[-1]), weight, bias)
    return made.view(*given.shape[:-1], made.shape[-1])


def fits_onednn(given: Tensor, weight: Tensor) -> bool:
    """Whether two tensors are what `by_onednn` takes, and nothing is under way that must see torch's own operations."""
    return given.dtype == torch.float32 and is_bare(given, weight)


def is_bare(given: Tensor, weight: Tensor) -> bool:
    """Whether two tensors are plain ones of the CPU and of one type, and nothing must see torch's own operations."""
    return (
        given.dtype == weight.dtype
        and given.device == weight.device == _CPU
        and type(given) in _PLAIN
        and type(weight) in _PLAIN
        and not torch.compiler.is_compiling()
        and not torch.is_autocast_enabled("cpu")
        and not _transforming()
    )


def _transforming() -> bool:
    """Whether a trace of `torch.jit`, a transform of `torch.func` or forward differentiation is under way."""
    functorch: bool = torch._C._are_functorch_transforms_active()
    return functorch or torch.autograd.forward_ad._current_level >= 0 or torch._C._get_tracing_state() is not None
