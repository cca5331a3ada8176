"""A linear layer in int8 is the layer but for rounding, and is taken where a processor gains by it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from softprompt.backbones import int8
from softprompt.backbones.int8 import WeightCodes, by_int8, codes_of, has_int8, keep_codes, row_codes, tried_int8

pytestmark = pytest.mark.skipif(
    not has_int8() or not tried_int8(torch.float32), reason="no exact int8 products on this processor"
)
both_types = pytest.mark.parametrize("dtype", int8.INT8_TYPES)


def tensors(dtype: torch.dtype, rows: int = 9) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, one of which has a much larger number, a weight of seven outputs, one of them tiny, and a bias."""
    generator = torch.Generator().manual_seed(0)
    given, weight, bias = (torch.randn(one, generator=generator) for one in ((rows, 40), (7, 40), (7,)))
    given[1, 3], weight[2] = 30.0, weight[2] / 1000
    return given.to(dtype), weight.to(dtype), bias.to(dtype)


@both_types
@torch.no_grad()
def test_a_product_is_the_layers_own_but_for_rounding(dtype: torch.dtype) -> None:
    given, weight, bias = tensors(dtype)
    for own in (None, bias):
        made = by_int8(row_codes(given), WeightCodes.of(weight), own)
        assert made.dtype == dtype
        expected = nn.functional.linear(given.float(), weight.float())
        moved = made.float() - (0 if own is None else own.float())
        scale = given.float().norm(dim=1)[:, None] * weight.float().norm(dim=1)
        rounding = 0.02 * scale + (0 if own is None else 0.01 * own.float().abs())
        assert bool(((moved - expected).abs() <= rounding).all())


@both_types
@torch.no_grad()
def test_a_row_does_not_depend_on_the_rows_beside_it(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    given, weight, _ = tensors(dtype)
    codes = WeightCodes.of(weight)
    together = by_int8(row_codes(given), codes)
    assert torch.equal(torch.cat([by_int8(row_codes(row), codes) for row in given.split(1)]), together)
    monkeypatch.setattr(int8, "_PIECE", 80)
    assert torch.equal(by_int8(row_codes(given), codes), together)


@both_types
@torch.no_grad()
def test_rows_of_zeros_and_rows_that_are_not_finite(dtype: torch.dtype) -> None:
    given, weight, bias = tensors(dtype)
    given[0], given[4, 2] = 0, float("nan")
    made = by_int8(row_codes(given), WeightCodes.of(weight), bias)
    assert torch.equal(made[0], bias)
    assert made.isnan().any(1).tolist() == [place == 4 for place in range(9)]


@torch.no_grad()
def test_a_weight_that_was_changed_is_not_stood_for(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, turned = nn.Linear(40, 7), Conv1D(7, 40)
    monkeypatch.setattr(int8, "LEAST_WEIGHTS", 0)
    assert keep_codes([nn.ModuleList([layer, turned])]) == 2 * 7 * 40
    codes, other = codes_of(layer), codes_of(turned)
    assert codes is not None
    assert other is not None
    assert codes.stands_for(layer.weight)
    assert not codes.stands_for(turned.weight)
    given = torch.ones(3, 40)
    torch.testing.assert_close(by_int8(row_codes(given), other), turned(given) - turned.bias, rtol=0.05, atol=0.01)
    layer.weight.add_(1)
    assert not codes.stands_for(layer.weight)


def test_sums_that_overflow_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    own = int8._PRODUCT
    monkeypatch.setattr(int8, "_PRODUCT", lambda *given: own(*given) * 0.5)
    assert tried_int8(torch.float32) == 0
