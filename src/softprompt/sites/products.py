"""Linear modules on a CPU whose products the library computes itself.

In float32 they are oneDNN's where it multiplies faster than torch's BLAS (`softprompt.backbones.onednn`); of a backbone
that was loaded for it they are int8 wherever nothing takes a gradient (`softprompt.sites.int8_products`). Small
products stay torch's own: both take some microseconds to begin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from softprompt.backbones import arithmetic
from softprompt.backbones.compat import parameters_of
from softprompt.backbones.int8 import codes_of
from softprompt.backbones.onednn import by_onednn, fits_onednn, has_onednn
from softprompt.sites.asking import own_class

# Measured on an AMD EPYC with AVX512_BF16, weights of 384 x 384 to 3072 x 768 (`benchmarks/products.py`): from here on
# oneDNN wins, forward and backward together, 1.2 to 2.2 times; below 4 rows it loses.
_ROWS, _PRODUCTS = 4, 1 << 21
_WEIGHTS = _PRODUCTS >> 7  # with fewer a module would need more than 128 rows to get there


def computing(model: nn.Module) -> Iterator[nn.Module]:
    """The linear modules of a model whose products are worth to be computed here; none where torch's are as fast.

    Args:
        model: which may be attached to already.
    """
    linear = [one for one in model.modules() if _kind(one) is not None]
    yield from (one for one in linear if codes_of(one) is not None)
    found = [one for one in linear if codes_of(one) is None and _is_large(one, torch.float32)]
    if found and arithmetic.measured_rates(torch.device("cpu")).onednn:
        yield from found


def leaves_to_onednn(model: nn.Module) -> bool:
    """Whether torch itself has oneDNN multiply a model's linear modules, as it does in half precision on a CPU.

    Then, too, products should have few sizes: each new one takes half a megabyte (`softprompt.backbones.onednn`).
    """
    linear = [one for one in model.modules() if _kind(one) is not None]
    return has_onednn() and any(_is_large(one, torch.bfloat16) or _is_large(one, torch.float16) for one in linear)


def product(module: nn.Module, given: Tensor) -> Tensor | None:
    """What a linear module makes of its input by oneDNN, `(..., outputs)`; None where torch shall do it.

    Args:
        module: one of those that `computing` names.
        given: `(..., inputs)`.
    """
    weight, inputs = module.weight, given.shape[-1]
    assert isinstance(weight, Tensor)
    rows = given.numel() // inputs
    if rows < _ROWS or rows * weight.numel() < _PRODUCTS or not fits_onednn(given, weight):
        return None
    bias = module.bias
    assert bias is None or isinstance(bias, Tensor)
    return by_onednn(given, weight.t() if _kind(module) is Conv1D else weight, bias)


def _kind(module: nn.Module) -> type[nn.Module] | None:
    """Which of the two layers that are known here a module computes as: torch's, or GPT-2's transposed one."""
    forward = getattr(own_class(module), "forward", None)
    found = next((kind for kind in (nn.Linear, Conv1D) if forward is kind.forward), None)
    return nn.Linear if found is None and isinstance(module, nn.Linear) and _is_linear(forward) else found


@cache
def _is_linear(forward: Callable[..., object]) -> bool:
    """Whether a function in the place of a linear layer's is the same one written otherwise (Falcon's).

    It is tried on a layer that has nothing but a weight and a bias, so that one that needs more is none.
    """
    tried = nn.utils.skip_init(nn.Linear, 3, 2, device="cpu", dtype=torch.float32)
    given = torch.linspace(-1, 1, 12, dtype=torch.float32, device="cpu").view(2, 2, 3)
    with torch.no_grad():
        for one in tried.parameters():
            one.copy_(torch.linspace(-2, 1, one.numel(), dtype=torch.float32, device="cpu").view_as(one))
        for bias in (tried.bias, None):
            tried.bias = bias
            try:
                made = forward(tried, given)
            except Exception:  # a function that knows more than a weight and a bias may raise anything
                return False
            expected = nn.functional.linear(given, tried.weight, bias)
            if not isinstance(made, Tensor) or made.shape != expected.shape or not torch.allclose(made, expected):
                return False
    return True


def _is_large(module: nn.Module, dtype: torch.dtype) -> bool:
    weight = parameters_of(module).get("weight")
    return weight is not None and weight.dtype == dtype and weight.device.type == "cpu" and weight.numel() >= _WEIGHTS
