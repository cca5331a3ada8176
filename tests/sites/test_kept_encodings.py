"""An encoder that nothing trained reaches runs once a text: the same logits and gradients over its kept states."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from softprompt.attached.attach import attach
from softprompt.attached.model import PromptedModel
from softprompt.backbones.anatomy import Anatomy, read_anatomy
from softprompt.methods import LoRA, Method, PromptTuning, PTuningV2
from softprompt.sites.kept_room import Room
from softprompt.sites.kept_texts import KeptTexts
from softprompt.sites.key_values import key_values
from softprompt.sites.producer import Producer

from ..shared.models import ENCODER_DECODERS, ids, model, padded, tokenizer
from ..shared.prompts import TARGET, producer


class InTheDecoder(Producer):
    """Keys and values in front of a decoder's own and of those of the text, and none in the encoder."""

    decoder_prefix = cross_prefix = 3

    def __init__(self, anatomy: Anatomy) -> None:
        super().__init__()
        drawn = torch.Generator().manual_seed(0)
        self._heads = {place: key_values(anatomy).heads[place] for place in ("decoder", "cross")}
        sizes = [
            (one.count, 3, width) for own in self._heads.values() for one in own for width in (one.keys, one.values)
        ]
        self.made = nn.ParameterList([nn.Parameter(torch.randn(size, generator=drawn)) for size in sizes])

    def _pairs(self, first: int) -> list[tuple[Tensor, Tensor]]:
        own = list(self.made)[first : first + len(self.made) // 2]
        return list(zip(own[::2], own[1::2], strict=True))

    def decoder_keys_values(self) -> list[tuple[Tensor, Tensor]]:
        return self._pairs(0)

    def cross_keys_values(self) -> list[tuple[Tensor, Tensor]]:
        return self._pairs(len(self.made) // 2)


def in_the_decoder(family: str) -> PromptedModel:
    return attach(model(family), tokenizer(), InTheDecoder(read_anatomy(model(family))))


def batch_of(side: str) -> dict[str, Any]:
    batch, mask = padded([ids(length, seed=length) for length in (12, 5, 9)], side)
    return {"input_ids": batch, "attention_mask": mask, "decoder_input_ids": TARGET.expand(3, -1)}


def step(prompted: PromptedModel, given: dict[str, Any]) -> tuple[Tensor, list[Tensor], int]:
    """Logits, gradients, and how often the encoder's first layer ran."""
    ran: list[int] = []
    handle = prompted.anatomy.layers[0].register_forward_hook(lambda *_: ran.append(1))
    prompted.zero_grad()
    logits = prompted(**given, use_cache=False).logits
    (logits * torch.linspace(-1, 1, logits.numel()).view_as(logits)).mean().backward()
    handle.remove()
    return (
        logits.detach(),
        [one.grad.clone() for one in prompted.prompts.parameters() if one.grad is not None],
        len(ran),
    )


def near(one: Tensor, other: Tensor) -> None:
    assert float((one - other).norm()) <= 1e-5 * float(other.norm())


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("family", ENCODER_DECODERS)
def test_logits_and_gradients_are_those_of_whole_passes(family: str, side: str) -> None:
    with in_the_decoder(family) as prompted:
        assert prompted.leaves_encoder
        given, kept = batch_of(side), KeptTexts(Room())
        logits, gradients, runs = step(prompted, given)
        assert runs == 1
        with prompted.keeping_texts(kept):
            assert step(prompted, given)[2] == 1  # nothing is kept, so that all run as ever
            assert kept.computed == 0
            with kept.filling():
                step(prompted, given)
            assert (len(kept), kept.computed) == (3, 3)
            found, others, runs = step(prompted, given)
            assert runs == 0
            given["input_ids"][1, 3 if side == "right" else -3] = 77
            kept.computed = 0
            changed = step(prompted, given)[0]
            assert kept.computed == 1
        near(found, logits)
        assert len(others) == len(gradients) > 0
        for one, other in zip(others, gradients, strict=True):
            near(one, other)
        near(changed, step(prompted, given)[0])
        assert not torch.allclose(changed[1], logits[1], atol=1e-3)


@pytest.mark.parametrize(
    "method", [PromptTuning(num_virtual_tokens=2), PTuningV2(num_virtual_tokens=2, init_std=0.5), LoRA(rank=2)], ids=str
)
def test_an_encoder_that_is_reached_runs_whole(method: Method) -> None:
    with attach(model("t5"), tokenizer(), producer(model("t5"), method)) as prompted:
        assert not prompted.leaves_encoder
        kept = KeptTexts(Room())
        with prompted.keeping_texts(kept), kept.filling():
            step(prompted, batch_of("right"))
        assert (len(kept), kept.computed) == (0, 0)


def test_what_shows_the_encoder_or_drops_out_runs_whole() -> None:
    kept = KeptTexts(Room())
    with in_the_decoder("t5") as prompted, prompted.keeping_texts(kept), kept.filling():
        step(prompted, {**batch_of("right"), "output_hidden_states": True})
    own = InTheDecoder(prompted.anatomy)
    with attach(model("t5"), tokenizer(), own, dropout=True) as prompted, prompted.keeping_texts(kept), kept.filling():
        step(prompted.train(), batch_of("right"))
        prompted.eval()
    assert (len(kept), kept.computed) == (0, 0)
