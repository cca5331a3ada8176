"""CaPT equals the paper's equations 1 and 2, written independently, with padding."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import gelu

from softprompt.attached.attach import attach, build
from softprompt.methods import CaPT

from ..shared.by_hand import ByHand, mean, neutral
from ..shared.models import HIDDEN, LAYERS, VOCABULARY, ids, model, padded, tokenizer
from ..shared.prompts import TARGET, attached, close, every_family, logits, loss_of

EXAMPLES = {
    "capt": {"method": "capt", "init_std": 0.5},
    "capt_learned": {"method": "capt", "init_std": 0.5, "select": "learned:2"},
    "capt_extraction": {"method": "capt", "init_std": 0.5, "variant": "extraction"},
    "capt_residual": {"method": "capt", "init_std": 0.5, "residual_width": 8},
}

FAMILIES = ("t5", "llama", "bert")
every_hand = pytest.mark.parametrize("family", FAMILIES)
ROWS = [ids(7, 1), ids(4, 2), ids(5, 3)]
CHOICES = {"all": {0, 1, 2}, "input": {0}, "first_half": {0}, "latter_half": {1, 2}, "odd": {0, 2}, "1": {1}}


def check(
    family: str, options: dict[str, Any], slots: int, rule: Any, set_up: Any = lambda prompted: None, **hand: Any
) -> None:
    """The library, padded on either side, against the loop by hand."""
    given, mask = padded(ROWS, "right")
    method = CaPT(init_std=0.7, **options)
    with attached(model(family), method) as prompted, torch.no_grad():
        set_up(prompted)
        parameters = {name: value.clone() for name, value in prompted.prompts[0].named_parameters()}
        found = {side: logits(prompted, *padded(ROWS, side)) for side in ("left", "right")}
    decoder_ids = TARGET.expand(len(ROWS), -1) if family == "t5" else None
    with torch.no_grad():
        derived = ByHand(model(family), given, mask, slots, decoder_ids, start=neutral(model(family)), **hand).logits(
            lambda layer, before, text, seen: rule(parameters, layer, before, text, seen)
        )
    for row, seen, left, right in zip(derived, mask, found["left"], found["right"], strict=True):
        expected = row if family == "t5" else row[seen.bool()]
        close(right, expected, 1e-5)
        close(left, expected, 1e-5)


def capsule(p: dict[str, Tensor], layer: int, before: Tensor | None, text: Tensor, mask: Tensor) -> Tensor:
    return p["table"][layer] + mean(before, text, mask)


@every_hand
def test_the_equations(family: str) -> None:
    check(family, {}, 1, capsule)


@every_hand
@pytest.mark.parametrize("select", list(CHOICES))
def test_the_layers(family: str, select: str) -> None:
    """Layers that are left out see the slot as the layer below made it."""
    prompted = sorted(CHOICES[select])

    def rule(p: dict[str, Tensor], layer: int, *rest: Any) -> Tensor | None:
        return p["table"][prompted.index(layer)] + mean(*rest) if layer in prompted else None

    check(family, {"select": select}, 1, rule)


@every_hand
def test_lengths_above_one_repeat_the_mean(family: str) -> None:
    check(family, {"num_virtual_tokens": 3}, 3, capsule)


@every_hand
def test_prepending(family: str) -> None:
    def rule(p: dict[str, Tensor], layer: int, before: Tensor | None, text: Tensor, mask: Tensor) -> Tensor:
        mu = mean(before, text, mask)
        return torch.cat([mu, p["table"][layer].expand_as(mu)], dim=1)

    check(family, {"variant": "prepending"}, 2, rule)


@every_hand
def test_projection(family: str) -> None:
    def rule(p: dict[str, Tensor], layer: int, *rest: Any) -> Tensor:
        return p["table"][layer] + gelu(mean(*rest) @ p["down"][layer]) @ p["up"][layer]

    check(family, {"variant": "projection", "projection_rank": 4}, 1, rule)


@every_hand
@pytest.mark.parametrize("width", [1, 4, 5])
def test_extraction(family: str, width: int) -> None:
    """Token by token: each reads the neighbours of its own text, and nothing where there is none."""

    def rule(p: dict[str, Tensor], layer: int, before: Tensor | None, text: Tensor, mask: Tensor) -> Tensor:
        kernel, bias = p["kernel"][layer], p["bias"][layer]
        read = text.clone()
        for row, seen in enumerate(mask.bool()):
            own = text[row, seen]
            made = torch.zeros_like(own)
            for place in range(len(own)):
                for step in range(width):
                    other = place + step - (width - 1) // 2
                    if 0 <= other < len(own):
                        made[place] += kernel[:, step] * own[other]
            read[row, seen] = own + gelu(made + bias)
        return p["table"][layer] + mean(before, read, mask)

    def drawn(prompted: Any) -> None:
        generator = torch.Generator().manual_seed(8)
        for name in ("kernel", "bias"):
            value = prompted.prompts[0].get_parameter(name)
            value.copy_(torch.randn(value.shape, generator=generator))

    check(family, {"variant": "extraction", "kernel_size": width}, 1, rule, drawn)


def test_extraction_starts_at_the_mean_and_leaves_it() -> None:
    with attach(model("llama"), tokenizer(), CaPT(init_std=0.5, variant="extraction"), seed=5) as prompted:
        mine, own = logits(prompted, ids(6))[0].detach(), prompted.prompts[0]
        loss_of(prompted, ids(6)).backward()
        assert bool((own.get_parameter("kernel").grad != 0).any(1).all())
        assert sum(value.numel() for value in own.stored().values()) == LAYERS * HIDDEN * (1 + 5 + 1)
    with attach(model("llama"), tokenizer(), CaPT(init_std=0.5), seed=5) as prompted:
        close(mine, logits(prompted, ids(6))[0], 1e-6)


def test_a_decoder_that_does_not_see_the_capsule() -> None:
    check("t5", {"decoder_sees_capsule": False}, 1, capsule, slots_seen=False)


@every_hand
def test_the_gradient_flows_through_the_mean_unless_it_is_cut(family: str) -> None:
    found = {}
    for stop in (False, True):
        with attached(model(family), CaPT(init_std=0.5, stop_gradient=stop)) as prompted:
            loss = loss_of(prompted, ids(6))
            loss.backward()
            found[stop] = (loss.detach(), prompted.prompts[0].table.grad.clone())
    assert torch.equal(found[False][0], found[True][0])
    last = LAYERS - 1  # the last layer's vector feeds no later mean
    close(found[False][1][last], found[True][1][last], 1e-6)
    assert (found[False][1][0] - found[True][1][0]).abs().max() > 1e-6


@every_family
def test_one_vector_a_layer(family: str) -> None:
    with attach(model(family), tokenizer(), CaPT()) as prompted:
        assert [tuple(p.shape) for p in prompted.parameters() if p.requires_grad] == [(LAYERS, 1, HIDDEN)]
        assert sum(value.numel() for value in prompted.prompts[0].stored().values()) == LAYERS * HIDDEN
        assert not prompted.prompts[0].table.any()  # training starts at the instance's mean


@every_family
def test_without_training_the_input_alone_decides(family: str) -> None:
    """With p = 0 the prompt is the instance's mean: no seed, no padding and no neighbour changes it."""
    with torch.no_grad():
        with attach(model(family), tokenizer(), CaPT(), seed=1) as prompted:
            one = logits(prompted, *padded(ROWS, "left", 2))
            other = logits(prompted, ids(7, 9))[0]
        with attach(model(family), tokenizer(), CaPT(), seed=2) as prompted:
            two = [logits(prompted, row)[0] for row in ROWS]
    for first, second in zip(one, two, strict=True):
        close(first, second)
    assert (other - two[0]).abs().max() > 1e-3
    assert two[0].shape[-1] == VOCABULARY


def check_stored(family: str, method: CaPT, tensors: dict[str, Tensor], expected: list[Tensor]) -> None:
    loaded = build(model(family), tokenizer(), method, blank=True)
    loaded.load_stored(tensors)
    assert {name: value.tolist() for name, value in loaded.stored().items()} == {
        n: v.tolist() for n, v in tensors.items()
    }
    with attach(model(family), tokenizer(), loaded) as prompted, torch.no_grad():
        for one, two in zip(logits(prompted, *padded(ROWS, "right")), expected, strict=True):
            close(one, two, 1e-5)


@every_hand
def test_residual_reparametrisation(family: str) -> None:
    method = CaPT(init_std=0.7, residual_width=6)
    with attached(model(family), method) as prompted, torch.no_grad():
        producer = prompted.prompts[0]
        first, last = producer.net[0], producer.net[2]
        inner = (producer.table @ first.weight.T + first.bias).clamp(min=0)
        made = producer.table + inner @ last.weight.T + last.bias
        tensors, found = producer.stored(), logits(prompted, *padded(ROWS, "right"))
        close(tensors["table"], made, 1e-6)
    given, mask = padded(ROWS, "right")
    decoder_ids = TARGET.expand(len(ROWS), -1) if family == "t5" else None
    with torch.no_grad():
        derived = ByHand(model(family), given, mask, 1, decoder_ids).logits(lambda *a: capsule({"table": made}, *a))
    for row, seen, one in zip(derived, mask, found, strict=True):
        close(one, row if family == "t5" else row[seen.bool()], 1e-5)
    check_stored(family, method, tensors, found)


def test_the_residual_starts_at_nothing() -> None:
    plain, residual = (build(model("llama"), tokenizer(), CaPT(init_std=0.5, residual_width=m)) for m in (0, 6))
    assert torch.equal(plain.stored()["table"], residual.stored()["table"])
    assert sum(p.numel() for p in residual.parameters()) == LAYERS * HIDDEN + 2 * HIDDEN * 6 + 6 + HIDDEN


def test_the_projection_of_a_causal_model_has_a_rate_of_its_own() -> None:
    addition, projection = CaPT(), CaPT(variant="projection")
    for family, kind, times in (("gemma3_text", "causal", 10), ("llama", "causal", 10), ("t5", "encoder-decoder", 1)):
        rate = projection.recipe(family, kind).learning_rate
        assert rate * times == pytest.approx(addition.recipe(family, kind).learning_rate)
