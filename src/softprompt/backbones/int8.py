"""Linear layers in int8 on a CPU: weights quantised once for each output, rows as they come, by torch's oneDNN kernel.

A row is divided by its largest magnitude, a row of the weight by its own, and both are rounded to -127 to 127. The
kernel takes rows without a sign, so 128 is added, which it takes away again; its sums are int32, and what it gives
stands in the model's type. Nothing trains with it. A processor without int8 dot products (VNNI, AMX) is slower with it
and may even let sums of two products overflow, so both are tried (`tried_int8`).
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from softprompt.backbones.compat import parameters_of
from softprompt.backbones.onednn import by_onednn, has_onednn
from softprompt.errors import SoftPromptError

INT8_TYPES = (torch.float32, torch.bfloat16)
LEAST_WEIGHTS = 1 << 17  # a smaller layer gains nothing, and may choose experts

_ALL, _SHIFT, _TINY = 127.0, 128, 1e-30
_PIECE = 1 << 17  # numbers that are quantised at once: they stay in the caches
# A layer of Gemma 3 270M is tried with one row first, then with a batch of texts, each product in some turns.
_ROWS, _INPUTS, _OUTPUTS, _TURNS, _HOPELESS = (1, 512), 640, 2048, 5, 0.2

_Way: TypeAlias = Callable[[Tensor, Tensor], Tensor]

_PACK: Callable[..., Tensor] | None = getattr(torch.ops.onednn, "qlinear_prepack", None)
_PRODUCT: Callable[..., Tensor] | None = getattr(torch.ops.onednn, "qlinear_pointwise", None)


@dataclass(frozen=True)
class RowCodes:
    """Rows in int8: `codes`, `(rows, inputs)`, and the `largest` magnitude of each, `(rows, 1)`, in the rows' type."""

    codes: Tensor
    largest: Tensor


@dataclass(frozen=True)
class WeightCodes:
    """A weight in int8.

    Attributes:
        packed: as the kernel takes it.
        scale: of each output, `(outputs,)`, for rows that are codes, too.
        zero: of each output, zeros.
        state: of the weight that was quantised.
    """

    packed: Tensor
    scale: Tensor
    zero: Tensor
    state: tuple[int, int]

    @classmethod
    def of(cls, weight: Tensor, *, transposed: bool = False) -> WeightCodes:
        """Quantise a weight, `(outputs, inputs)`, or `(inputs, outputs)` where it is transposed."""
        assert _PACK is not None
        rows = (weight.detach().t() if transposed else weight.detach()).float()
        largest = rows.abs().amax(1, keepdim=True).clamp_(min=_TINY)
        codes = torch.mul(rows, _ALL / largest).round_().to(torch.int8).contiguous()  # the kernel heeds no strides
        zero = torch.zeros(len(codes), dtype=torch.int32)
        return cls(_PACK(codes, None), largest.view(-1) / _ALL**2, zero, _state(weight))

    def stands_for(self, weight: Tensor) -> bool:
        """Whether it is this weight, unchanged, that was quantised."""
        return self.state == _state(weight)


_KEPT: weakref.WeakKeyDictionary[nn.Module, WeightCodes] = weakref.WeakKeyDictionary()


def has_int8() -> bool:
    """Whether torch was built with what is called here."""
    return _PACK is not None and _PRODUCT is not None and torch.backends.mkldnn.is_available()


def row_codes(given: Tensor) -> RowCodes:
    """Quantise rows, `(rows, inputs)`: one of zeros stays so, and one that is not finite is NaN in what comes out."""
    codes, largest = torch.empty(given.shape, dtype=torch.int8), given.new_empty(len(given), 1)
    size = max(1, _PIECE // given.shape[1])
    for rows, own, most in zip(given.split(size), codes.split(size), largest.split(size), strict=True):
        numbers = rows.float()
        found = numbers.abs().amax(1, keepdim=True).clamp_(min=_TINY)
        own.copy_(torch.mul(numbers, _ALL / found).round_())
        most.copy_(found)
    return RowCodes(codes.view(torch.uint8).bitwise_xor_(_SHIFT), largest)


def by_int8(rows: RowCodes, weight: WeightCodes, bias: Tensor | None = None) -> Tensor:
    """A linear layer in int8, without a gradient: `(rows, outputs)` in the type of the rows.

    Args:
        rows: what it is given.
        weight: its weight.
        bias: in the type of the rows, `(outputs,)`, or None.
    """
    assert _PRODUCT is not None
    kind = rows.largest.dtype
    scales = weight.scale, weight.zero
    made = _PRODUCT(rows.codes, 1.0, _SHIFT, weight.packed, *scales, None, 1.0, 0, kind, "none", [], "")
    return made.mul_(rows.largest) if bias is None else torch.addcmul(bias, made, rows.largest, out=made)


def keep_codes(layers: Iterable[nn.Module]) -> int:
    """Quantise the linear modules of a model's layers, to be kept as long as these live; the bytes that this takes."""
    found = {module for layer in layers for module in _linear(layer)}
    with torch.inference_mode(False), torch.no_grad():
        for module in found:
            weight = module.weight
            assert isinstance(weight, Tensor)
            _KEPT[module] = WeightCodes.of(weight, transposed=type(module).forward is Conv1D.forward)
    return sum(_KEPT[module].packed.numel() for module in found)


def codes_of(module: nn.Module) -> WeightCodes | None:
    """What is kept of a linear module, or None."""
    return _KEPT.get(module)


def tried_int8(dtype: torch.dtype) -> float:
    """How many times as fast int8 is as another type on one core of this processor; 0 where its sums are wrong."""
    weight = torch.full((_OUTPUTS, _INPUTS), 0.5, dtype=dtype)
    own: list[_Way] = [functional.linear]
    if dtype == torch.float32 and has_onednn():
        own.append(by_onednn)
    times = 0.0
    with threadpool_limits(limits=1, user_api="openmp"), torch.inference_mode():
        codes = WeightCodes.of(weight)
        for rows in _ROWS:
            given = torch.ones(rows, _INPUTS, dtype=dtype)
            made = by_int8(row_codes(given), codes)
            if not torch.allclose(made.float(), torch.tensor(_INPUTS / 2), rtol=0.01):
                return 0.0
            others = [_least(partial(one, given, weight)) for one in own]
            times = min(others) / _least(partial(_whole, given, codes))
            if times < _HOPELESS:  # where the kernel is torch's slow reference more rows would take minutes
                return times
    return times


def _linear(layer: nn.Module) -> Iterator[nn.Module]:
    """The linear modules of a layer that can be quantised and gain by it."""
    for module in layer.modules():
        weight = parameters_of(module).get("weight")
        if (
            getattr(type(module), "forward", None) in (nn.Linear.forward, Conv1D.forward)
            and type(weight) is nn.Parameter
            and weight.dtype in INT8_TYPES
            and weight.numel() >= LEAST_WEIGHTS
        ):
            yield module


def _whole(given: Tensor, weight: WeightCodes) -> Tensor:
    return by_int8(row_codes(given), weight)


def _least(way: Callable[[], Tensor]) -> float:
    """Seconds of the thread that a product takes: of some turns the best, since others are slowed by what else runs."""
    spent = []
    for _ in range(_TURNS):
        begun = time.thread_time()
        way()
        spent.append(time.thread_time() - begun)
    return min(spent)


def _state(weight: Tensor) -> tuple[int, int]:
    """Where a weight stands, and how often it was changed, of which a tensor of inference mode keeps no count."""
    return weight.data_ptr(), 0 if weight.is_inference() else weight._version


def is_int8(model: nn.Module) -> bool:
    """Whether layers of a model multiply in int8."""
    return bool(_KEPT) and any(codes_of(module) is not None for module in model.modules())


def check_exact(model: nn.Module) -> None:
    """Make sure that a model which is to be trained over was loaded for its own type alone.

    Raises:
        SoftPromptError: it was loaded with int8.
    """
    if is_int8(model):
        raise SoftPromptError("the backbone was loaded with int8, which nothing is trained with: load it without")
