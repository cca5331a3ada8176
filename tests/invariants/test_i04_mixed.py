"""I4: a batch that mixes tasks, prompt lengths, places and sites gives each row what it gets alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from softprompt.attached.attach import attach
from softprompt.methods import CaPT, DeepPrompt, HardPrompt, Method, PromptTuning, PTuningV2
from softprompt.sites.producer import Producer

from ..shared.models import ids, model, padded, tokenizer
from ..shared.prompts import close, every_family, every_generative, logits, producer

PROMPTS: dict[str, Method] = {
    "front": PromptTuning(num_virtual_tokens=4, init="random_uniform", init_bound=1.0),
    "after": PromptTuning(num_virtual_tokens=2, init="random_uniform", init_bound=1.0, placement="after_bos"),
    "end": PromptTuning(num_virtual_tokens=3, init="random_uniform", init_bound=1.0, placement="end"),
    "capt": CaPT(init_std=0.5),
    "deep": DeepPrompt(num_virtual_tokens=2, init_std=0.5),
    "prefix": PTuningV2(num_virtual_tokens=3, init_std=1.0),
    "short": PTuningV2(num_virtual_tokens=1, init_std=1.0),
    "none": HardPrompt(),
}
LENGTHS = (7, 3, 5, 6, 4, 7, 2, 5)
GROUPS = {
    "all": tuple(PROMPTS),
    "lengths": ("front", "capt", "deep"),
    "places": ("front", "after", "end"),
    "prefixes": ("prefix", "short", "none"),
    "equal": ("end", "end", "end"),
}


def _made(family: str) -> dict[str, Producer]:
    return {name: producer(model(family), one, seed) for seed, (name, one) in enumerate(PROMPTS.items())}


def _rows(group: str) -> list[Tensor]:
    return [ids(length, seed) for seed, (length, _) in enumerate(zip(LENGTHS, GROUPS[group], strict=False))]


@every_family
@pytest.mark.parametrize("group", list(GROUPS))
@pytest.mark.parametrize("side", ["left", "right"])
def test_logits(family: str, group: str, side: str) -> None:
    made, rows, names = _made(family), _rows(group), GROUPS[group]
    with attach(model(family), tokenizer(), made) as prompted, torch.no_grad():
        together = logits(prompted, *padded(rows, side), prompts=names)
        indexes = torch.tensor([prompted.names.index(name) for name in names])
        for one, two in zip(together, logits(prompted, *padded(rows, side), prompts=indexes), strict=True):
            assert torch.equal(one, two)
    for name, row, mixed in zip(names, rows, together, strict=True):
        with attach(model(family), tokenizer(), made[name]) as prompted, torch.no_grad():
            close(mixed, logits(prompted, row)[0])


@every_family
def test_rows_without_padding_need_no_mask(family: str) -> None:
    made, names = _made(family), ("front", "capt", "prefix")
    rows = torch.cat([ids(5, 1), ids(5, 2), ids(5, 3)])
    with attach(model(family), tokenizer(), made) as prompted, torch.no_grad():
        together = logits(prompted, rows, prompts=names)
    for name, row, mixed in zip(names, rows, together, strict=True):
        with attach(model(family), tokenizer(), made[name]) as prompted, torch.no_grad():
            close(mixed, logits(prompted, row[None])[0])


@every_generative
@pytest.mark.parametrize("beams", [1, 3])
def test_generated_tokens(family: str, beams: int) -> None:
    made, rows, names = _made(family), _rows("all"), GROUPS["all"]
    options = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False, "num_beams": beams}
    with attach(model(family), tokenizer(), made) as prompted:
        batch, mask = padded(rows, "left")
        together = prompted.generate(batch, attention_mask=mask, prompts=names, **options)
    for name, row, mixed in zip(names, rows, together, strict=True):
        with attach(model(family), tokenizer(), made[name]) as prompted:
            alone = prompted.generate(row, attention_mask=torch.ones_like(row), **options)
        assert mixed[-6:].tolist() == alone[0, -6:].tolist()


@every_generative
def test_a_loop_with_a_cache_and_no_mask(family: str) -> None:
    """Rows of different prompts hold masked columns that the user knows nothing of."""
    if model(family).config.is_encoder_decoder:
        pytest.skip("an encoder-decoder's prompt stands in its encoder")
    made, names = _made(family), ("front", "capt", "after")
    text, new = torch.cat([ids(5, 1), ids(5, 2), ids(5, 3)]), torch.cat([ids(4, 4), ids(4, 5), ids(4, 6)])[:, 1:]
    with attach(model(family), tokenizer(), made) as prompted, torch.no_grad():
        out = prompted(input_ids=text, prompts=names, use_cache=True)
        for token in new.split(1, dim=1):
            out = prompted(input_ids=token, prompts=names, past_key_values=out.past_key_values, use_cache=True)
        asked = (torch.arange(8)[None] < 5).expand(3, -1)
        full = prompted(input_ids=torch.cat([text, new], 1), prompts=names, conditioning_mask=asked)
        close(out.logits[:, -1], full.logits[:, -1])


def test_the_others_keep_their_virtual_ids_when_one_leaves() -> None:
    made = _made("llama")
    with attach(model("llama"), tokenizer(), {"front": made["front"], "end": made["end"]}) as prompted, torch.no_grad():
        base = prompted.slots[1].base
        placed = torch.cat([ids(5), torch.arange(base, base + 3)[None]], dim=1)
        before = prompted(input_ids=placed, prompts="end").logits
        prompted.remove("front")
        assert torch.equal(prompted(input_ids=placed, prompts="end").logits, before)
        prompted.add("front", made["front"])
        assert torch.equal(prompted(input_ids=placed, prompts="end").logits, before)
