"""A linear layer by oneDNN is torch's own but for rounding, in its output and in every gradient."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from softprompt.backbones import onednn
from softprompt.backbones.onednn import by_onednn, few, fits_onednn, has_onednn

pytestmark = pytest.mark.skipif(not has_onednn(), reason="torch was built without oneDNN")


def tensors(*shape: int, transposed: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of a shape, a weight of seven outputs and a bias, all of which take a gradient."""
    generator = torch.Generator().manual_seed(0)
    given, weight, bias = (torch.randn(one, generator=generator) for one in (shape, (7, shape[-1]), (7,)))
    weight = weight.t().contiguous().t() if transposed else weight
    return given.requires_grad_(), weight.requires_grad_(), bias.requires_grad_()


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("shape", [(5,), (1, 5), (17, 5), (67, 5), (3, 4, 5), (2, 3, 13, 5)])
def test_output_and_gradients_are_those_of_torch(shape: tuple[int, ...], transposed: bool) -> None:
    given = tensors(*shape, transposed=transposed)
    for bias in (given[2], None):
        made, expected = (linear(*given[:2], bias) for linear in (by_onednn, functional.linear))
        torch.testing.assert_close(made, expected)
        wanted = given if bias is not None else given[:2]
        weights = torch.linspace(-1, 1, made.numel()).view_as(made)
        for one, other in zip(
            *(torch.autograd.grad((x * weights).sum(), wanted) for x in (made, expected)), strict=True
        ):
            torch.testing.assert_close(one, other)


def test_gradients_are_differentiable_again() -> None:
    given = tensors(6, 5)

    def penalty(linear: Any) -> tuple[Tensor, ...]:
        slopes = torch.autograd.grad(linear(*given).pow(3).sum(), given, create_graph=True)
        return torch.autograd.grad(sum(one.pow(2).sum() for one in slopes), given)

    for one, other in zip(penalty(by_onednn), penalty(functional.linear), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-4)


def test_a_frozen_layer_keeps_its_weight_alone() -> None:
    given, weight, bias = tensors(6, 5)
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda one: kept.append(one) or one, lambda one: one):
        by_onednn(given, weight.detach(), bias.detach())
    assert [one.data_ptr() for one in kept] == [weight.data_ptr()]
    with torch.inference_mode():
        assert by_onednn(given, weight, bias).is_inference()


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_what_it_cannot_take_is_left_to_torch() -> None:
    given, weight, _ = tensors(6, 5)
    assert fits_onednn(given, weight)
    assert fits_onednn(given, nn.Parameter(weight.detach()))
    assert not fits_onednn(given.bfloat16(), weight.bfloat16())
    assert not fits_onednn(given.double(), weight.double())
    assert not fits_onednn(given.to("meta"), weight)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not fits_onednn(given, weight)
    with torch.autograd.forward_ad.dual_level():
        assert not fits_onednn(given, weight)
    seen: list[bool] = []
    torch.func.vmap(lambda one: seen.append(fits_onednn(one, weight)) or one)(given.detach())
    torch.jit.trace(lambda one: seen.append(fits_onednn(one, weight)) or one + 1, given.detach(), check_trace=False)
    assert seen == [False, False]


@pytest.mark.parametrize("shape", [(17, 5), (67, 5), (3, 4, 5), (2, 3, 13, 5)])
def test_a_model_may_go_on_with_it_in_place(shape: tuple[int, ...]) -> None:
    """As Gemma 3n does with the product that each layer's own embeddings come of."""
    given = tensors(*shape)

    def slopes(linear: Any) -> tuple[Tensor, ...]:
        made = linear(*given)
        made *= 0.5
        return torch.autograd.grad(made.pow(2).sum(), given)

    for one, other in zip(slopes(by_onednn), slopes(functional.linear), strict=True):
        torch.testing.assert_close(one, other)


def test_products_have_few_sizes() -> None:
    """Hardly more rows than there are, and no more than 32 sizes from one power of two to the next."""
    sizes = [few(rows) for rows in range(1, 4097)]
    assert all(rows <= size <= rows + rows / 32 for rows, size in enumerate(sizes, 1))
    assert sizes[:63] == list(range(1, 64))
    assert all(len(set(sizes[1 << power : 2 << power])) <= 32 for power in range(5, 12))
    assert all(few(size) == size for size in sizes)


def test_a_size_that_is_new_is_rounded_up(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    own = onednn._LINEAR
    assert own is not None
    monkeypatch.setattr(onednn, "_LINEAR", lambda given, *rest: asked.append(len(given)) or own(given, *rest))
    given, weight, bias = torch.randn(133, 5, requires_grad=True), torch.randn(7, 5), torch.randn(7)
    made = by_onednn(given, weight, bias)
    assert made.shape == (133, 7)
    made.sum().backward()
    assert asked == [136, 136]
