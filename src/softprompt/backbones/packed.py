"""Weights that are kept as codes: a quantised layer has them, and their scales, in parameters, buffers or objects.

What such a layer computes is known by calling it; its `weight` says nothing, and may be none.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from softprompt.backbones.compat import kept_buffers, parameters_of
from softprompt.backbones.resting import device_of
from softprompt.errors import SoftPromptError

# Of a 4-bit layer of bitsandbytes whether it may lay its codes out for the processor, and of its codes whether it has.
_MAY_LAY_OUT, _LAID_OUT = "support_avx512bf16_for_cpu", "packing_format_for_cpu"
# Whole numbers of these types are no positions and no masks.
_CODES = frozenset({torch.int8, torch.uint8, torch.int16, torch.int32})


def is_packed(module: nn.Module) -> bool:
    """Whether a module's own weights are codes."""
    given = (*parameters_of(module).values(), *kept_buffers(module).values())
    own = (plain for one in given if one is not None for plain in inner_numbers(one))
    return hasattr(module, "_weight_bias") or any(one.dtype in _CODES for one in own)


def keep_trainable(model: nn.Module) -> None:
    """Have 4-bit layers of bitsandbytes stay such that a gradient passes through them.

    On a processor with AVX512_BF16 the first call that needs no gradient lays their codes out for a product that has
    none (bitsandbytes 0.50): whatever is trained below would learn nothing, and nobody would be told.
    """
    for module in model.modules():
        if _MAY_LAY_OUT in module.__dict__:
            module.__dict__[_MAY_LAY_OUT] = False


def is_laid_out(module: nn.Module) -> bool:
    """Whether no gradient passes through a 4-bit layer any more; see `keep_trainable`."""
    state = getattr(getattr(module, "weight", None), "quant_state", None)
    return bool(getattr(state, _LAID_OUT, False))


def check_gradient(model: nn.Module, dtype: torch.dtype) -> None:
    """Make sure that a gradient passes through the quantised linear layers of a model, one of each class is tried.

    Args:
        model: the backbone.
        dtype: of what its layers take.

    Raises:
        SoftPromptError: through one it does not, so that what is trained below would learn nothing.
    """
    tried = set[str]()
    for path, module in model.named_modules():
        kind, width = f"{type(module).__name__} {getattr(module, 'weight', None).__class__.__name__}", _width(module)
        if width is None or kind in tried or not is_packed(module):
            continue
        tried.add(kind)
        given = torch.ones(1, width, dtype=dtype, device=device_of(module), requires_grad=True)
        with torch.enable_grad():
            made = module(given)
        found = torch.autograd.grad(made.sum(), given, allow_unused=True)[0] if made.requires_grad else None
        if found is None or not bool(found.any()):
            raise SoftPromptError(
                f"no gradient passes through the quantised layer {path} ({kind}), so that nothing below it would be "
                "trained: load the backbone with its weights alone quantised, or unquantised"
            )


def _width(module: nn.Module) -> int | None:
    width = getattr(module, "in_features", None)
    return width if isinstance(width, int) else None


def inner_numbers(numbers: Tensor) -> list[Tensor]:
    """The plain tensors that a tensor is made of: codes and scales of one that is quantised (torchao), else itself."""
    flatten = getattr(numbers, "__tensor_flatten__", None)
    if flatten is None:
        return [numbers]
    parts = [getattr(numbers, name) for name in flatten()[0]]  # of a split tensor the mesh is one of them
    numbered = [part for part in parts if hasattr(part, "dtype") or hasattr(part, "__tensor_flatten__")]
    return [plain for part in numbered for plain in inner_numbers(part)]


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
