"""Prompts whose attention is looked at, with rows of words, none of them trained."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

import softprompt as sp
from softprompt.attached.attach import attach
from softprompt.methods import method as method_of
from softprompt.readouts.base import inputs
from softprompt.tasks import Row, Task

from .models import ENCODERS, fresh, model, tokenizer

TEMPLATE = "w90 w93 {text} w91 w92 {mask}"
TEXTS = ("w20 w41 w42 w43 w44", "w30 w50", "w20 w60 w61 w62", "w30 w91 w66 w67 w68 w69 w70")


def task() -> Task:
    return Task(template=TEMPLATE, labels={"0": "w10", "1": "w11"})


def rows() -> list[Row]:
    return task().rows_of(TEXTS)


@cache
def prompt(family: str, name: str = "capt", seed: int = 0, **options: Any) -> sp.Prompt:
    """A prompt of random values that matter."""
    readout = "mask" if family in ENCODERS else "text"
    made = sp.untrained(model(family), tokenizer(), task(), method_of(name, **options), seed=seed, readout=readout)
    generator = torch.Generator().manual_seed(seed + 5)
    with torch.no_grad():
        for parameter in made.producer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return made


def maps_of(family: str, name: str, **options: Any) -> tuple[Tensor, Tensor]:
    """The body's and the cross-attention's maps of the first row, by transformers: `(layers, heads, Q, K)`."""
    own, backbone = prompt(family, name, **options), fresh(family, attention="eager")
    readout = own.asked()[1]
    batch = readout.collate([readout.encode(rows()[0])], train=True)
    with attach(backbone, tokenizer(), own.producer) as prompted, torch.no_grad():
        given: dict[str, Any] = {**inputs(prompted, batch, None), "output_attentions": True, "use_cache": False}
        if "decoder_input_ids" in batch:
            out = prompted(**given, decoder_input_ids=batch["decoder_input_ids"])
            return torch.cat(out.encoder_attentions), torch.cat(out.cross_attentions)
        return torch.cat(prompted(**given).attentions), torch.zeros(0)
