"""Gates: values and gradients equal the closed forms, and a super-network with hard gates is the sparse prompt."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from softprompt.attached.attach import attach, build
from softprompt.methods import SPT, CaPT, DeepPrompt, PTuningV2
from softprompt.methods.parts.gated import Gated, draw_mask
from softprompt.methods.parts.gates import GateForm, Gates, concrete, kept_layers, ratio, straight_through
from softprompt.methods.parts.layers import OverLayers

from ...shared.models import LAYERS, ids, model, padded, tokenizer
from ...shared.prompts import close, logits, loss_of, producer

G = torch.tensor([-2.0, -0.1, 0.0, 0.3, 1.7])
A = torch.sigmoid(G)
DRAWN = torch.tensor([0.05, 0.9, 0.2, 0.7, 0.4])


def value_and_gradient(form: object, *rest: object) -> tuple[Tensor, Tensor]:
    logits = G.clone().requires_grad_()
    values = form(logits, *rest)
    values.sum().backward()
    return values.detach(), logits.grad


def test_ratio() -> None:
    values, gradient = value_and_gradient(ratio)
    assert torch.equal(values, torch.ones(5))
    close(gradient, 1 - A, 1e-6)


@pytest.mark.parametrize("drawn", [None, DRAWN])
def test_straight_through(drawn: Tensor | None) -> None:
    values, gradient = value_and_gradient(straight_through, drawn)
    expected = (A >= 0.5) if drawn is None else (drawn < A)
    assert torch.equal(values, expected.float())
    close(gradient, A * (1 - A), 1e-6)


@pytest.mark.parametrize("temperature", [0.3, 1.0])
@pytest.mark.parametrize("drawn", [None, DRAWN])
def test_concrete(drawn: Tensor | None, temperature: float) -> None:
    values, gradient = value_and_gradient(concrete, drawn, temperature)
    noise = 0.0 if drawn is None else torch.log(drawn) - torch.log(1 - drawn)
    soft = torch.sigmoid((G + noise) / temperature)
    assert torch.equal(values, (soft >= 0.5).float())
    close(gradient, soft * (1 - soft) / temperature, 1e-6)


@pytest.mark.parametrize("form", ["bernoulli", "concrete"])
def test_drawn_gates_open_as_often_as_they_say(form: str) -> None:
    gates = Gates(4, form)
    with torch.no_grad():
        gates.logits.copy_(torch.tensor([-2.0, 0.0, 0.5, 3.0]))
        generator, total = torch.Generator().manual_seed(1), torch.zeros(4)
        for _ in range(4000):
            gates.draw(generator)
            values = gates.values()
            assert set(values.tolist()) <= {0.0, 1.0}
            assert torch.equal(values, gates.values())  # the same noise until it is drawn again
            total += values
    assert (total / 4000 - gates.probabilities()).abs().max() < 0.03


def test_what_is_kept() -> None:
    gates = Gates(4)
    with torch.no_grad():
        gates.logits.copy_(torch.tensor([0.5, -0.1, 2.0, -3.0]))
    gates.eval()
    assert gates.values().tolist() == [1.0, 0.0, 1.0, 0.0]
    assert gates.values(1).tolist() == [0.0, 0.0, 1.0, 0.0]
    assert gates.values(3).tolist() == [1.0, 1.0, 1.0, 0.0]
    with torch.no_grad():
        gates.logits.copy_(torch.tensor([-0.5, -0.1, -2.0, -3.0]))
    assert gates.values().tolist() == [0.0, 1.0, 0.0, 0.0]  # one always stays
    assert Gates(3).eval().values(2).tolist() == [1.0, 1.0, 0.0]  # ties go to the lower layers
    assert kept_layers([0.5, 0.7, 0.7, 0.2, 0.7], 2) == (1, 2)
    assert kept_layers([0.5, 0.5, 0.5], 1) == (0,)
    assert kept_layers([0.2, 0.7, 0.4, 0.6], None) == (1, 3)
    assert kept_layers([0.2, 0.4, 0.4], None) == (1,)


SMALL: dict[str, Any] = {"num_virtual_tokens": 2, "bottleneck": 6, "dropout": 0.0, "init_std": 0.5}
SUPER: dict[str, OverLayers] = {
    "spt": SPT(**SMALL),
    "spt_generated": SPT(**SMALL, embedding="generated", pool="max"),
    "spt_average": SPT(**SMALL, tau=0.5),
    "spt_add": SPT(**SMALL, combine="add"),
    "capt": CaPT(init_std=0.5),
    "capt_prepending": CaPT(init_std=0.5, variant="prepending"),
    "deep_prompt": DeepPrompt(num_virtual_tokens=2, init="normal", init_std=0.5),
    "p_tuning_v2": PTuningV2(num_virtual_tokens=2, init_std=1.0),
}
ROWS = [ids(7, 1), ids(4, 2), ids(5, 3)]


def gated(family: str, name: str, form: GateForm = "bernoulli", limit: int | None = None) -> Gated:
    options = SUPER[name].model_copy(update={"select": "all"})
    return Gated(producer(model(family), options), Gates(LAYERS, form), limit, options)


def alone(whole: Gated, kept: tuple[int, ...], family: str) -> Any:
    """The prompt at some layers, with the super-network's vectors there."""
    options = whole.options.model_copy(update={"select": ",".join(map(str, kept))})
    made = build(model(family), tokenizer(), options)
    tensors = whole.inner.stored()
    if options.name == "spt":
        tensors = {name: tensors[name] for name in made.stored()}
    elif options.name == "p_tuning_v2":
        table = tensors["table"]
        tensors = {"table": table.view(table.shape[0], LAYERS, -1)[:, list(kept)].flatten(1)}
    else:
        tensors = {"table": tensors["table"][list(kept)]}
    made.load_stored(tensors)
    return made


@torch.no_grad()
def answers(family: str, prompt: Any, *, training: bool = False) -> list[Tensor]:
    with attach(model(family), tokenizer(), prompt) as prompted:
        prompted.train(training)
        return logits(prompted, *padded(ROWS, "left"))


@pytest.mark.parametrize("family", ["bert", "t5", "llama"])
@pytest.mark.parametrize("name", list(SUPER))
@pytest.mark.parametrize("kept", [(1,), (0, 2), (0, 1, 2)])
def test_hard_gates_are_the_prompt_at_the_open_layers(kept: tuple[int, ...], name: str, family: str) -> None:
    whole = gated(family, name, "threshold")
    with torch.no_grad():
        whole.gates.logits.copy_(torch.tensor([1.0 if layer in kept else -1.0 for layer in range(LAYERS)]))
    expected = answers(family, alone(whole, kept, family))
    for training in (False, True):
        for one, other in zip(answers(family, whole, training=training), expected, strict=True):
            close(one, other, 1e-6)
    with torch.no_grad():  # at rest the limit decides, whatever a half says
        whole.limit = len(kept)
        whole.gates.logits.sub_(3.0)
    for one, other in zip(answers(family, whole), expected, strict=True):
        close(one, other, 1e-6)


@pytest.mark.parametrize("form", ["bernoulli", "threshold", "ratio", "concrete"])
@pytest.mark.parametrize("name", ["spt", "spt_add", "capt", "deep_prompt", "p_tuning_v2"])
def test_a_gate_learns_from_the_difference_it_makes(name: str, form: GateForm) -> None:
    """The gradient of g is that of the value times the form's own; a shut gate has one, and can open again."""
    whole = gated("llama", name, form)
    with torch.no_grad():
        whole.gates.logits.copy_(torch.tensor([0.4, -0.3, 0.2]))
    whole.gates.draw(torch.Generator().manual_seed(4))
    whole.train()
    values = whole.gates.values()
    (slope,) = torch.autograd.grad(values.sum(), whole.gates.logits)
    with attach(model("llama"), tokenizer(), whole) as prompted:
        prompted.train()
        loss_of(prompted, ids(6)).backward()
        found = whole.gates.logits.grad.clone()
        value = values.detach().requires_grad_()
        whole.gates.values = lambda limit: value  # type: ignore[method-assign, assignment]
        loss_of(prompted, ids(6)).backward()
    close(found, value.grad * slope, 1e-6)
    assert bool((found != 0).all())
    assert set(values.tolist()) <= {0.0, 1.0}


def test_the_gradient_of_a_value_is_a_difference_quotient() -> None:
    """Between the layer's own prompt and what comes from below; checked where attention is mixed, too."""
    for name in ("spt", "p_tuning_v2"):
        whole = gated("llama", name)
        value = torch.tensor([0.7, 0.2, 0.5], requires_grad=True)
        whole.gates.values = lambda limit, value=value: value  # type: ignore[method-assign, assignment, misc]
        with attach(model("llama"), tokenizer(), whole) as prompted:
            loss_of(prompted, ids(6)).backward()
            with torch.no_grad():
                for layer in range(LAYERS):
                    sides = []
                    for step in (1e-2, -1e-2):
                        value[layer] += step
                        sides.append(float(loss_of(prompted, ids(6)).double()))
                        value[layer] -= step
                    assert float(value.grad[layer]) == pytest.approx((sides[0] - sides[1]) / 2e-2, rel=2e-2, abs=1e-4)


def test_masks_are_halves_never_all_and_never_none() -> None:
    total, among = torch.zeros(4), torch.tensor([True, True, False, True])
    torch.manual_seed(1)
    for _ in range(2000):
        mask = draw_mask(among)
        assert set(mask.tolist()) <= {0.0, 1.0}
        assert 0 < mask.sum() < 3
        assert mask[2] == 0
        total += mask
    # By symmetry: each of the six masks that are left has a chance of a sixth, so a layer stands in half of them.
    assert (total[among] / 2000 - 0.5).abs().max() < 0.04


def test_a_layer_that_is_alone_stays_and_none_gives_none() -> None:
    assert draw_mask(torch.tensor([False, True])).tolist() == [0.0, 1.0]
    assert draw_mask(torch.tensor([False, False])).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("form", ["bernoulli", "ratio", "concrete"])
def test_the_network_is_one_side_and_the_other_a_part_of_it(form: GateForm) -> None:
    whole = gated("llama", "capt", form).train()
    whole.options = whole.options.model_copy(update={"consistency_pair": "network"})
    for _ in range(50):
        whole.gates.draw()
        whole_side, part = whole.draw_pair()
        assert torch.equal(whole_side, whole.gates.values())
        opened = int((whole_side != 0).sum())
        assert bool((part.detach() <= whole_side.detach()).all())
        assert int((part != 0).sum()) in (range(1, opened) if opened > 1 else (opened,))
        (slope,) = torch.autograd.grad(part.sum(), whole.gates.logits, retain_graph=True)
        assert bool(((slope != 0) == (part != 0)).all())  # the gates that the part has open learn from it


def test_masks_stand_in_the_place_of_the_gates() -> None:
    whole = gated("llama", "capt").train()
    whole.options = whole.options.model_copy(update={"consistency_pair": "masks"})
    with torch.no_grad():
        whole.gates.logits.fill_(-50.0)  # the gates themselves are shut
    for one in whole.draw_pair():
        assert 0 < one.sum() < LAYERS
        assert not one.requires_grad


def test_given_values_take_the_place_of_the_gates() -> None:
    whole = gated("llama", "capt", "ratio").train()
    whole.given = torch.tensor([1.0, 0.0, 1.0])
    assert whole.values().tolist() == [1.0, 0.0, 1.0]
