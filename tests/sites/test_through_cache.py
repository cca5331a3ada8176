"""Keys and values that a decoder reads from its cache are those that the bare model reads from `past_key_values`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, DynamicCache, StaticCache

from softprompt.attached.attach import attach, build
from softprompt.backbones.anatomy import read_anatomy
from softprompt.errors import SoftPromptError
from softprompt.methods import HardPrompt, Method, PrefixTuning, PromptTuning, PTuningV2
from softprompt.sites.key_values import key_values
from softprompt.sites.producer import Producer

from ..attacks.attaching import state
from ..shared.models import DECODERS, ids, model, padded, tokenizer
from ..shared.prompts import close, logits, producer
from ..shared.unusual import unusual

# Attention that is no function that another could take the place of; the last two make something of their values.
FAMILIES = ("falcon", "bloom", "mpt", "gptj", "gpt_neo", "diffllama", "doge")
METHODS: dict[str, Method] = {
    "short": PTuningV2(num_virtual_tokens=2, init_std=1.0),
    "long": PrefixTuning(num_virtual_tokens=4, encoder_hidden_size=16),
    "words": PromptTuning(num_virtual_tokens=3, init="random_uniform", init_bound=1.0),
    "none": HardPrompt(),
}
every_family = pytest.mark.parametrize("family", FAMILIES)


def decoder(family: str) -> Any:
    return unusual(family, AutoModelForCausalLM)


def made(backbone: Any) -> dict[str, Producer]:
    return {name: producer(backbone, one, seed=place) for place, (name, one) in enumerate(METHODS.items())}


def by_past(backbone: Any, prompt: Producer, row: Tensor) -> Tensor:
    """The bare model behind a cache that holds the prefix, as the papers' codes do it."""
    cache = DynamicCache()
    for layer, (keys, values) in enumerate(prompt.keys_values()):
        cache.update(keys[None], values[None], layer)
    mask = torch.ones(1, prompt.prefix + row.shape[1], dtype=torch.long)
    logits: Tensor = backbone(input_ids=row, attention_mask=mask, past_key_values=cache).logits
    return logits


@every_family
@pytest.mark.parametrize("name", ["short", "long"])
@torch.no_grad()
def test_a_prefix_is_a_past(family: str, name: str) -> None:
    backbone, row = decoder(family), ids(6, 1)
    before, bare = state(backbone), backbone(input_ids=row).logits
    prompt = made(backbone)[name]
    with attach(backbone, tokenizer(), prompt) as prompted:
        got = prompted(input_ids=row).logits
        close(got, prompted(input_ids=row, attention_mask=torch.ones_like(row), use_cache=False).logits)
    close(got, by_past(backbone, prompt, row))
    assert float((got - bare).abs().max()) > 0.01
    assert state(backbone) == before


@every_family
@pytest.mark.parametrize("side", ["left", "right"])
@torch.no_grad()
def test_a_mixed_batch_gives_each_row_what_it_gets_alone(family: str, side: str) -> None:
    backbone = decoder(family)
    rows = [ids(3 + place, place) for place in range(len(METHODS))]
    batch, mask = padded(rows, side)
    with attach(backbone, tokenizer(), made(backbone)) as prompted:
        together = prompted(input_ids=batch, attention_mask=mask, prompts=prompted.names).logits
        for got, seen, row, name in zip(together, mask, rows, prompted.names, strict=True):
            close(got[seen.bool()], prompted(input_ids=row, prompts=name).logits[0])


@every_family
@pytest.mark.parametrize("side", ["left", "right"])
@torch.no_grad()
def test_rows_of_one_prompt_get_what_they_get_alone(family: str, side: str) -> None:
    """MPT's attention goes by columns: those between a prefix and its text count, and rows run by their lengths."""
    backbone, rows = decoder(family), [ids(3, 1), ids(6, 2), ids(3, 3)]
    batch, mask = padded(rows, side)
    with attach(backbone, tokenizer(), made(backbone)["long"]) as prompted:
        assert bool(prompted.moving) == (family == "mpt")
        together = prompted(input_ids=batch, attention_mask=mask).logits
        for got, seen, row in zip(together, mask, rows, strict=True):
            close(got[seen.bool()], prompted(input_ids=row).logits[0])


@every_family
@pytest.mark.parametrize("options", [{}, {"use_cache": False}, {"num_beams": 3}], ids=["cached", "uncached", "beams"])
def test_generation_is_that_of_the_rows(family: str, options: dict[str, Any]) -> None:
    backbone = decoder(family)
    prompts = ["short", "long", "words", "none"] if family != "mpt" else ["long"] * 3
    rows = [ids(3 + place, place) for place in range(len(prompts))]
    batch, mask = padded(rows, "left")
    given = {"max_new_tokens": 4, "min_new_tokens": 4, "do_sample": False, "pad_token_id": 0, **options}
    with attach(backbone, tokenizer(), made(backbone)) as prompted:
        together = prompted.generate(batch, attention_mask=mask, prompts=prompts, **given)[:, -4:]
        for got, row, name in zip(together, rows, prompts, strict=True):
            assert prompted.generate(row, prompts=name, **given)[0, -4:].tolist() == got.tolist()
        if not options:
            whole = torch.cat([rows[1], together[1:2]], 1)
            with torch.no_grad():
                steps = prompted(input_ids=whole, prompts="long").logits[0, -5:-1].argmax(-1)
            assert steps.tolist() == together[1].tolist()


@every_family
@torch.no_grad()
def test_the_cache_holds_the_models_own_alone(family: str) -> None:
    backbone, row = decoder(family), ids(6, 1)
    with attach(backbone, tokenizer(), made(backbone)["short"]) as prompted:
        whole = prompted(input_ids=row).logits
        out = prompted(input_ids=row[:, :4], use_cache=True)
        assert out.past_key_values.get_seq_length() == 4
        rest = prompted(input_ids=row[:, 4:], past_key_values=out.past_key_values)
        assert rest.past_key_values.get_seq_length() == 6
        close(torch.cat([out.logits, rest.logits], 1), whole)


@pytest.mark.parametrize("family", ["falcon", "diffllama"])
def test_a_prefix_learns(family: str) -> None:
    backbone, row = decoder(family), ids(6, 1)
    prompt = made(backbone)["short"]
    with attach(backbone, tokenizer(), prompt) as prompted:
        prompted.train()
        loss = prompted(input_ids=row, labels=row).loss
        (got,) = torch.autograd.grad(loss, list(prompt.parameters()))
    logits = by_past(backbone, prompt, row)[:, :-1]
    (wanted,) = torch.autograd.grad(
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), row[:, 1:].flatten()), list(prompt.parameters())
    )
    close(got, wanted)


@torch.no_grad()
def test_what_a_cache_cannot_do_is_refused() -> None:
    backbone, row = decoder("falcon"), ids(6, 1)
    some = PTuningV2(num_virtual_tokens=2, select="0")
    with attach(backbone, tokenizer(), some) as prompted, pytest.raises(SoftPromptError, match="leave select out"):
        prompted(input_ids=row)
    with attach(backbone, tokenizer(), METHODS["short"]) as prompted:
        with pytest.raises(SoftPromptError, match=r"give a DynamicCache\(\)"):
            prompted(input_ids=row, past_key_values=StaticCache(backbone.config, max_cache_len=16))
        prompted.train()
        prompted.activation_checkpointing_enable()
        with pytest.raises(SoftPromptError, match="turn gradient checkpointing off"):
            prompted(input_ids=row)
        backbone.activation_checkpointing_disable()
    backbone = decoder("mpt")  # its attention goes by columns
    with (
        attach(backbone, tokenizer(), made(backbone)) as prompted,
        pytest.raises(SoftPromptError, match="call prompts of several lengths apart"),
    ):
        prompted(input_ids=torch.cat([row, row]), prompts=["short", "long"])


def test_most_decoders_are_joined_where_they_attend() -> None:
    assert [key_values(read_anatomy(decoder(family))).by_cache for family in FAMILIES] == [True] * len(FAMILIES)
    for family in DECODERS:
        assert not key_values(read_anatomy(model(family))).by_cache


@torch.no_grad()
def test_words_are_what_the_cache_keeps_of_them() -> None:
    backbone, words = decoder("bloom"), torch.tensor([[6, 7]])
    method = PrefixTuning(num_virtual_tokens=2, init="words", init_text="w6 w7", reparametrise=False)
    cache = backbone(input_ids=words, use_cache=True).past_key_values
    for layer, (keys, values) in zip(cache.layers, build(backbone, tokenizer(), method).keys_values(), strict=True):
        close(keys, layer.keys[0])
        close(values, layer.values[0])


@torch.no_grad()
def test_layers_that_take_the_keys_of_another_take_its_prefix() -> None:
    """Gemma 3n's last layers: so a prefix is a past there, too, though nothing goes through a cache."""
    backbone, row = decoder("gemma3n_text"), ids(6, 1)
    prompt = producer(backbone, PTuningV2(num_virtual_tokens=3, init_std=1.0))
    assert not key_values(read_anatomy(backbone)).by_cache
    assert [keys.shape[1] for keys, _ in prompt.keys_values()] == [3, 3, 0, 0]
    with attach(backbone, tokenizer(), prompt) as prompted:
        got = prompted(input_ids=row).logits
    cache = DynamicCache()
    for layer, (keys, values) in enumerate(prompt.keys_values()[:2]):
        cache.update(keys[None], values[None], layer)
    close(got, backbone(input_ids=row, attention_mask=torch.ones(1, 9), past_key_values=cache).logits)


@pytest.mark.parametrize("window", [64, 20])
def test_local_layers_see_as_far_in_a_padded_row(window: int) -> None:
    """GPT-Neo's local layers count columns, padding between the prefix and the text among them."""
    backbone = unusual("gpt_neo", AutoModelForCausalLM, window_size=window)
    rows = [ids(24), ids(3, 1)]
    with attach(backbone, tokenizer(), producer(backbone, METHODS["short"])) as prompted:
        assert prompted.moving == ({"left"} if window == 20 else set())
        for side in ("left", "right"):
            for found, row in zip(logits(prompted, *padded(rows, side)), rows, strict=True):
                close(found, logits(prompted, row, torch.ones_like(row))[0])
