"""The controls: as long as the prompt's vectors, the same for every row, and nothing at all."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from softprompt.attached.attach import attach
from softprompt.explain.anchors.columns import Structural
from softprompt.explain.anchors.controls import RandomDirections, with_random_directions, without_prompt
from softprompt.explain.anchors.measure import KEYS
from softprompt.explain.anchors.reading import seen_with
from softprompt.sites.producer import View

from ...shared.anchored import prompt, rows
from ...shared.models import ids
from ...shared.prompts import call, close


@pytest.mark.parametrize(("family", "name"), [("bert", "capt"), ("llama", "prompt_tuning"), ("bart", "prefix_tuning")])
def test_random_directions_are_as_long_as_the_vectors_and_change_the_answers(family: str, name: str) -> None:
    own = prompt(family, name).producer
    one, other = RandomDirections(own, 0), RandomDirections(own, 1)
    view = View(torch.randn(2, 9, 32), torch.tensor([[0], [0]]), torch.ones(2, 9, dtype=torch.bool))
    pairs: list[tuple[Any, Any]] = [(own.embed(view), one.embed(view))]
    if name == "capt":
        pairs = [(own.rewrite(1, view), one.rewrite(1, view))]
    if name == "prefix_tuning":
        layers = zip(own.cross_keys_values(), one.cross_keys_values(), strict=True)
        pairs = [pair for both in layers for pair in zip(*both, strict=True)]
    for mine, drawn in pairs:
        close(drawn.norm(dim=-1), mine.norm(dim=-1))
        cosine = torch.nn.functional.cosine_similarity(mine, drawn, dim=-1)
        assert cosine.abs().mean() < 0.9
    found = []
    for made in (own, one, other):
        with attach(prompt(family, name).backbone, made) as prompted, torch.no_grad():
            found.append(call(prompted, ids(6)).logits)
    assert all((a - b).abs().max() > 1e-3 for a, b in zip(found, (found[1], found[2], found[0]), strict=True))


def test_rows_share_the_directions() -> None:
    view = View(torch.randn(2, 9, 32), torch.tensor([[0], [0]]), torch.ones(2, 9, dtype=torch.bool))
    one, two = torch.nn.functional.normalize(RandomDirections(prompt("bert").producer, 0).rewrite(1, view), dim=-1)
    close(one, two)


def test_without_the_prompt_there_are_no_slots_and_attention_is_the_bare_backbones() -> None:
    own = prompt("bert", "deep_prompt", num_virtual_tokens=3)
    made = without_prompt(own)
    found = seen_with(own, made, rows(), Structural())["body"].weight
    assert found[..., KEYS.index("slot")].isnan().all()
    close(found[..., 0, KEYS.index("text")], torch.ones(found.shape[:3]))
    random = seen_with(own, with_random_directions(own, 0), rows(), Structural())["body"].weight
    assert random[..., KEYS.index("slot")].isfinite().all()
