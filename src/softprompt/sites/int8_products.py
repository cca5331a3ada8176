"""Linear modules of a backbone that was loaded with int8, where nothing takes a gradient (`softprompt.backbones.int8`).

Small products are left as they are: to quantise rows takes some microseconds.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from softprompt.backbones.int8 import RowCodes, by_int8, codes_of, row_codes
from softprompt.backbones.onednn import is_bare

# Measured on an AMD EPYC with AVX512_VNNI, weights of 384 x 384 to 2048 x 640: from here on int8 wins against bfloat16.
_PRODUCTS = 1 << 24


class Int8Products:
    """The int8 products of one call. Layers that read the same tensor one after another have it quantised once."""

    def __init__(self) -> None:
        """Nothing is quantised yet."""
        self._given: Tensor | None = None  # is held, so that no other tensor can be taken for it
        self._rows: RowCodes | None = None

    def of(self, module: nn.Module, given: Tensor) -> Tensor | None:
        """What a linear module makes of its input, `(..., outputs)`; None where it is not to be computed in int8.

        Args:
            module: any linear one.
            given: `(..., inputs)`.
        """
        codes = None if torch.is_grad_enabled() else codes_of(module)
        if codes is None:
            return None
        weight, bias, inputs = module.weight, module.bias, given.shape[-1]
        assert isinstance(weight, Tensor)
        assert bias is None or isinstance(bias, Tensor)
        products = given.numel() // inputs * weight.numel()
        if products < _PRODUCTS or not is_bare(given, weight) or not codes.stands_for(weight):
            return None
        if self._given is not given or self._rows is None:
            self._given, self._rows = given, row_codes(given.reshape(-1, inputs))
        return by_int8(self._rows, codes, bias).view(*given.shape[:-1], -1)
