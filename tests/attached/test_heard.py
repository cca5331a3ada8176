"""Models whose encoder reads sounds or images: prompts stand in their decoder, with `forward` and `generate`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import DynamicCache, EncoderDecoderCache

from softprompt.attached.attach import attach
from softprompt.errors import SoftPromptError
from softprompt.methods import CaPT, PrefixTuning, PromptTuning, PTuningV2

from ..shared.models import tokenizer
from ..shared.prompts import close, producer
from ..shared.sounds import SOURCES, heard, hearing

WORDS = torch.tensor([[21, 34, 47]])
TEXT = torch.tensor([[1, 11, 12, 13], [1, 40, 41, 42]])
every_family = pytest.mark.parametrize("family", SOURCES)


def worded(family: str, placement: str = "front") -> Any:
    """A prompt whose vectors are the embeddings of WORDS."""
    made = producer(hearing(family), PromptTuning(num_virtual_tokens=3, placement=placement))
    with torch.no_grad():
        made.table.copy_(hearing(family).get_decoder().get_input_embeddings()(WORDS)[0])
    return made


def behind(at: int = 0) -> Tensor:
    """TEXT with WORDS in it."""
    return torch.cat([TEXT[:, :at], WORDS.expand(2, -1), TEXT[:, at:]], 1)


@every_family
@pytest.mark.parametrize(("placement", "at"), [("front", 0), ("after_bos", 1)])
def test_vectors_of_words_are_these_words(family: str, placement: str, at: int) -> None:
    with attach(hearing(family), tokenizer(), worded(family, placement)) as prompted, torch.no_grad():
        plain = hearing(family)(**heard(family), decoder_input_ids=behind(at), output_hidden_states=True)
        found = prompted(**heard(family), decoder_input_ids=TEXT, output_hidden_states=True)
        own = [*range(at), *range(at + 3, 7)]
        close(found.logits, plain.logits[:, own])
        close(found.decoder_hidden_states[-1], plain.decoder_hidden_states[-1][:, own])
        assert found.encoder_hidden_states[-1].shape == plain.encoder_hidden_states[-1].shape
        close(found.encoder_last_hidden_state, plain.encoder_last_hidden_state)
        some = prompted(**heard(family), decoder_input_ids=TEXT, positions=torch.tensor([[3], [1]]))
        close(some.logits[:, 0], torch.stack([found.logits[0, 3], found.logits[1, 1]]))


@pytest.mark.parametrize("family", [one for one in SOURCES if one != "speech_to_text"])  # it counts ids, from 0
@pytest.mark.parametrize("method", [PrefixTuning, PTuningV2])
def test_text_starts_behind_keys_and_values(family: str, method: Any) -> None:
    made = producer(hearing(family), method(num_virtual_tokens=3))
    with attach(hearing(family), tokenizer(), made) as prompted, torch.no_grad():
        found = prompted(**heard(family), decoder_input_ids=TEXT).logits
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        for layer, (keys, values) in enumerate(made.keys_values()):
            cache.self_attention_cache.update(
                keys[None].expand(2, -1, -1, -1), values[None].expand(2, -1, -1, -1), layer
            )
        close(found, hearing(family)(**heard(family), decoder_input_ids=TEXT, past_key_values=cache).logits)


@every_family
@pytest.mark.parametrize("cached", [True, False])
def test_generate_goes_on_with_words_as_words(family: str, cached: bool) -> None:
    with attach(hearing(family), tokenizer(), worded(family)) as prompted, torch.no_grad():
        found = prompted.generate(**heard(family), max_new_tokens=5, do_sample=False, use_cache=cached)
        text = torch.cat([WORDS, TEXT[:1, :1]], 1).expand(2, -1)
        for _ in range(5):
            new = hearing(family)(**heard(family), decoder_input_ids=text).logits[:, -1:].argmax(-1)
            text = torch.cat([text, new], 1)
        assert found[:, -5:].tolist() == text[:, -5:].tolist()


def test_beams_hear_the_prompt() -> None:
    common = {"max_new_tokens": 5, "num_beams": 2, "do_sample": False}
    with attach(hearing("whisper"), tokenizer(), worded("whisper")) as prompted:
        found = prompted.generate(**heard("whisper"), **common)
        start = torch.cat([WORDS, TEXT[:1, :1]], 1).expand(2, -1)
        plain = hearing("whisper").generate(**heard("whisper"), decoder_input_ids=start, **common)
        assert found[:, -5:].tolist() == plain[:, -5:].tolist()


@every_family
@pytest.mark.parametrize("method", [PTuningV2(num_virtual_tokens=3), CaPT(init_std=0.5)], ids=["p_tuning_v2", "capt"])
def test_generate_equals_step_by_step(family: str, method: Any) -> None:
    with attach(hearing(family), tokenizer(), producer(hearing(family), method)) as prompted, torch.no_grad():
        found = prompted.generate(**heard(family), max_new_tokens=4, do_sample=False)
        text = TEXT[:, :1]
        for _ in range(4):
            first = torch.arange(text.shape[1]).expand_as(text) == 0
            new = prompted(**heard(family), decoder_input_ids=text, conditioning_mask=first).logits[:, -1:].argmax(-1)
            text = torch.cat([text, new], 1)
        assert found[:, -4:].tolist() == text[:, -4:].tolist()


@every_family
def test_training_conditions_on_no_label(family: str) -> None:
    labels = TEXT.clone()
    with attach(hearing(family), tokenizer(), producer(hearing(family), CaPT(init_std=0.5))) as prompted:
        loss = prompted(**heard(family), labels=labels).loss
        loss.backward()
        assert all(weight.grad is not None and weight.grad.any() for weight in prompted.prompts.parameters())
        first = torch.tensor([[True, False, False, False]]).expand(2, -1)
        shifted = torch.cat([TEXT[:, :1], labels[:, :-1]], 1)
        told = prompted(**heard(family), decoder_input_ids=shifted, conditioning_mask=first)
        close(prompted(**heard(family), labels=labels).logits, told.logits)


def test_what_it_cannot_be_asked_is_told_in_a_line() -> None:
    name = "whisper"
    with attach(hearing(name), tokenizer(), worded(name)) as prompted:
        for given in ({"input_ids": TEXT}, heard(name)):
            with pytest.raises(SoftPromptError, match="pass input_features with decoder_input_ids or labels"):
                prompted(**given)
        with pytest.raises(SoftPromptError, match="generate needs input_features"):
            prompted.generate(decoder_input_ids=TEXT)
        with pytest.raises(SoftPromptError, match="ask forward"):
            prompted.generate(**heard(name), output_hidden_states=True)
        with pytest.raises(SoftPromptError, match="take 33 positions, but the backbone .whisper. has 32"):
            prompted(**heard(name), decoder_input_ids=TEXT[:, :1].expand(2, 30))
    with (
        attach(hearing(name), tokenizer(), worded(name, "end")) as prompted,
        pytest.raises(SoftPromptError, match="set placement to 'front'"),
    ):
        prompted.generate(**heard(name))
    with (
        attach(hearing(name), tokenizer(), CaPT()) as prompted,
        pytest.raises(SoftPromptError, match="leave use_cache out"),
    ):
        prompted.generate(**heard(name), use_cache=False)
