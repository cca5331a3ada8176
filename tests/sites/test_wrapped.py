"""A prompt around another does all that the other does, also in a decoder and to weights."""

from __future__ import annotations

import pytest
import torch

from softprompt.attached.attach import attach
from softprompt.explain.report.instances import Overheard
from softprompt.explain.report.why import Dimmed
from softprompt.sites.producer import Producer
from softprompt.sites.wrapped import WrappedProducer, changes_weights

from ..shared.models import ids, model, padded, tokenizer
from ..shared.prompts import logits, producer

PAIRS = [
    ("llama", "capt"),
    ("t5", "prefix_tuning"),  # keys and values in the encoder, the decoder and between them
    ("bert", "dept"),  # moves the text's embeddings
    ("bert", "idpg"),
    ("llama", "lora"),
]


def dimmed(own: Producer) -> Producer:
    return Dimmed(own, torch.zeros(model("llama").config.hidden_size))


@pytest.mark.parametrize(("family", "method"), PAIRS)
@pytest.mark.parametrize("wrap", [WrappedProducer, Overheard, dimmed])
def test_the_answers_are_the_prompts(wrap: type[WrappedProducer], family: str, method: str) -> None:
    backbone = model(family, layers=2)
    own = producer(backbone, method)
    batch, mask = padded([ids(6, 1), ids(4, 2)], "right")
    found = []
    for one in (own, wrap(own)):
        with attach(backbone, tokenizer(), one) as prompted, torch.no_grad():
            found.append(logits(prompted, batch, mask))
    for alone, around in zip(*found, strict=True):
        torch.testing.assert_close(around, alone, rtol=1e-5, atol=1e-5)


def test_weights_are_changed_by_whom_it_stands_around() -> None:
    backbone = model("llama", layers=2)
    for method, changes in (("lora", True), ("prompt_tuning", False)):
        own = producer(backbone, method)
        assert changes_weights(own) is changes
        assert changes_weights(WrappedProducer(WrappedProducer(own))) is changes
