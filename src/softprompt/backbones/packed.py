"""Weights that are kept as codes: a quantised layer has them, and their scales, in parameters, buffers or objects.

What such a layer computes is known by calling it; its `weight` says nothing, and may be none.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from softprompt.backbones.compat import kept_buffers, parameters_of

# Whole numbers of these types are no positions and no masks.
_CODES = frozenset({torch.int8, torch.uint8, torch.int16, torch.int32})


def is_packed(module: nn.Module) -> bool:
    """Whether a module's own weights are codes."""
    own = (*parameters_of(module).values(), *kept_buffers(module).values())
    return hasattr(module, "_weight_bias") or any(one is not None and one.dtype in _CODES for one in own)


def beside_parameters(model: nn.Module) -> Iterator[tuple[nn.Module, str, Tensor]]:
    """What packed modules know besides their parameters: codes and scales in buffers, and in torch's own objects.

    Yields:
        The module, the name of the numbers in the model, and they.
    """
    for path, module in model.named_modules():
        if is_packed(module):
            inside = getattr(module, "_weight_bias", None)
            objects = dict(zip(("packed_weight", "packed_bias"), inside(), strict=True)) if callable(inside) else {}
            for name, one in {**kept_buffers(module), **objects}.items():
                if isinstance(one, Tensor):
                    yield module, f"{path}.{name}", one.dequantize() if one.is_quantized else one


@torch.no_grad()
def rows_by_calling(module: nn.Module, rows: list[int], width: int, given: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of a linear module's matrix and its biases, read off what it answers to unit vectors: `(N, E)`, `(N,)`.

    Args:
        module: takes vectors `(n, E)`.
        rows: the outputs that are wanted.
        width: E.
        given: a tensor of the type and on the device that the module takes.
    """
    bias = module(given.new_zeros(1, width))[0, rows].float()
    found = bias.new_empty(len(rows), width)
    for start in range(0, width, _AT_ONCE):
        units = torch.eye(width, dtype=given.dtype, device=given.device)[start : start + _AT_ONCE]
        found[:, start : start + _AT_ONCE] = (module(units)[:, rows].float() - bias).mT
    return found, bias


_AT_ONCE = 64  # vectors; each is answered with the whole vocabulary
