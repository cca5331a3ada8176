"""Keys and values in a decoder's self- and cross-attention: mixed batches, caches, beams, and what is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from softprompt.attached.attach import attach, build
from softprompt.backbones.anatomy import Anatomy, read_anatomy
from softprompt.errors import SoftPromptError
from softprompt.methods import HardPrompt, Method, PrefixTuning, PromptTuning, PTuningV2
from softprompt.sites.attention import recording
from softprompt.sites.producer import Producer

from ..shared.models import ENCODER_DECODERS, ids, model, padded, tokenizer
from ..shared.prompts import TARGET, call, close, logits, producer

PROMPTS: dict[str, Method] = {
    "long": PrefixTuning(num_virtual_tokens=4, encoder_hidden_size=16),
    "short": PrefixTuning(num_virtual_tokens=1, encoder_hidden_size=16),
    "encoder": PTuningV2(num_virtual_tokens=2, init_std=1.0),
    "words": PromptTuning(num_virtual_tokens=3, init="random_uniform", init_bound=1.0),
    "none": HardPrompt(),
}
every_family = pytest.mark.parametrize("family", ENCODER_DECODERS)


class Half(Producer):
    """Prefixes at one place of the decoder alone."""

    def __init__(self, anatomy: Anatomy, place: str, length: int = 3) -> None:
        super().__init__()
        size = (len(anatomy.decoder_layers), 2, anatomy.decoder_key_value_heads, length, anatomy.decoder_head_dim)
        self.table = nn.Parameter(torch.randn(size, generator=torch.Generator().manual_seed(3)))
        self.decoder_prefix = length if place == "decoder" else 0
        self.cross_prefix = length if place == "cross" else 0

    def decoder_keys_values(self) -> list[tuple[Tensor, Tensor]]:
        return [(keys, values) for keys, values in self.table] if self.decoder_prefix else super().decoder_keys_values()

    def cross_keys_values(self) -> list[tuple[Tensor, Tensor]]:
        return [(keys, values) for keys, values in self.table] if self.cross_prefix else super().cross_keys_values()


def made(backbone: Any) -> dict[str, Producer]:
    prompts = {name: producer(backbone, method, seed=seed) for seed, (name, method) in enumerate(PROMPTS.items())}
    return {**prompts, **{place: Half(read_anatomy(backbone), place) for place in ("decoder", "cross")}}


@every_family
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_mixed_batch_gives_each_row_what_it_gets_alone(family: str, attention: str, side: str) -> None:
    backbone = model(family, attention=attention)
    with attach(backbone, tokenizer(), made(backbone)) as prompted, torch.no_grad():
        rows = [ids(3 + index % 4, index) for index in range(len(prompted.names))]
        together = logits(prompted, *padded(rows, side), prompts=prompted.names)
        alone = [logits(prompted, row, prompts=name)[0] for row, name in zip(rows, prompted.names, strict=True)]
        for one, two in zip(together, alone, strict=True):
            close(one, two)
        bare = [logits(prompted, row, prompts="none")[0] for row in rows]
        apart = [float((one - two).abs().max()) for one, two in zip(alone, bare, strict=True)]
        assert [difference > 0.05 for difference in apart] == [name != "none" for name in prompted.names]


@every_family
@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("cached", [True, False])
def test_a_mixed_batch_generates_what_each_row_does_alone(family: str, beams: int, cached: bool) -> None:
    backbone = model(family)
    options = {"max_new_tokens": 6, "min_new_tokens": 6, "num_beams": beams, "do_sample": False, "use_cache": cached}
    with attach(backbone, tokenizer(), made(backbone)) as prompted:
        rows = [ids(3 + index % 4, index) for index in range(len(prompted.names))]
        batch, mask = padded(rows, "right")
        together = prompted.generate(batch, attention_mask=mask, prompts=prompted.names, **options)
        for index, (row, name) in enumerate(zip(rows, prompted.names, strict=True)):
            assert prompted.generate(row, prompts=name, **options)[0].tolist() == together[index].tolist()


@every_family
@pytest.mark.parametrize("name", ["long", "decoder", "cross"])
def test_the_cache_holds_the_models_own_keys_alone(family: str, name: str) -> None:
    """So it is reordered, cropped and continued as without a prompt."""
    backbone = model(family)
    with attach(backbone, tokenizer(), made(backbone)) as prompted, torch.no_grad():
        row = ids(5)
        out = call(prompted, row, prompts=name, use_cache=True)
        cache = out.past_key_values
        assert cache.self_attention_cache.layers[0].keys.shape[2] == TARGET.shape[1]
        assert cache.cross_attention_cache.layers[0].keys.shape[2] == row.shape[1]
        whole = call(prompted, row, prompts=name, decoder_input_ids=torch.cat([TARGET, TARGET[:, :2]], 1)).logits
        for step in range(2):
            token = TARGET[:, step : step + 1]
            out = call(prompted, row, prompts=name, decoder_input_ids=token, past_key_values=cache, use_cache=True)
            close(out.logits[:, -1], whole[:, TARGET.shape[1] + step])


@every_family
def test_attention_maps_show_the_prefix(family: str) -> None:
    backbone = model(family, attention="eager")
    with attach(backbone, tokenizer(), made(backbone)) as prompted, torch.no_grad():
        out = call(prompted, ids(5), prompts="long", output_attentions=True)
        shapes = [out[name][0].shape[2:] for name in ("encoder_attentions", "decoder_attentions", "cross_attentions")]
        assert shapes == [(5, 9), (4, 8), (4, 9)]


def test_a_prefix_of_an_encoder_decoder_takes_no_position() -> None:
    """As in the official code for BART; P-Tuning v2's does, as in its code for BERT."""
    backbone = model("bart")
    with attach(backbone, tokenizer(), made(backbone)) as prompted:
        assert [slots.prefix for slots in prompted.slots] == [0, 0, 2, 0, 0, 0, 0]
        call(prompted, ids(64), prompts="long")
        with pytest.raises(SoftPromptError, match="take 66 positions"):
            call(prompted, ids(64), prompts="encoder")


def test_a_backbone_without_such_a_decoder() -> None:
    half = Half(read_anatomy(model("t5")), "cross")
    with pytest.raises(SoftPromptError, match="family 'llama' has no decoder that attends to an encoder"):
        attach(model("llama"), tokenizer(), half)
    assert model("llama").config._attn_implementation == "sdpa"
    bare = dataclasses.replace(read_anatomy(model("t5")), decoder_layers=(), decoder_attentions=(), cross_attentions=())
    with pytest.raises(SoftPromptError, match="use a method at the site 'stream' or 'hidden'"):
        bare.require_decoder()
    assert PrefixTuning().refusal(bare) is not None
    assert PrefixTuning().refusal(read_anatomy(model("t5"))) is None


def test_producers_that_promise_prefixes_and_have_none() -> None:
    for promise, site in (("decoder_prefix", "self"), ("cross_prefix", "cross")):
        empty = Producer()
        setattr(empty, promise, 2)
        with attach(model("t5"), tokenizer(), empty) as prompted, pytest.raises(TypeError, match=f"decoder's {site}-"):
            call(prompted, ids(4))


def test_states_of_an_encoder_made_without_the_prefix_are_refused() -> None:
    backbone = model("t5")
    with attach(backbone, tokenizer(), made(backbone)) as prompted, torch.no_grad():
        outputs = backbone.get_encoder()(input_ids=ids(4))
        with pytest.raises(SoftPromptError, match="no virtual tokens and no prefix: pass input_ids"):
            prompted(encoder_outputs=outputs, decoder_input_ids=TARGET, prompts="encoder")
        expected = prompted(input_ids=ids(4), decoder_input_ids=TARGET, prompts="cross").logits
        close(prompted(encoder_outputs=outputs, decoder_input_ids=TARGET, prompts="cross").logits, expected)


@every_family
def test_recording_under_attached_prompts(family: str) -> None:
    """The words' own keys and values, whatever is attached; and the attention is as it was."""
    backbone = model(family)
    method = PrefixTuning(num_virtual_tokens=2, reparametrise=False, init="words", init_text="w20 w21")
    alone = build(backbone, tokenizer(), method).stored()
    with attach(backbone, tokenizer(), made(backbone)) as prompted:
        before = (backbone.config._attn_implementation, backbone.get_decoder().config._attn_implementation)
        prompted.add("more", build(backbone, tokenizer(), method))
        assert (backbone.config._attn_implementation, backbone.get_decoder().config._attn_implementation) == before
        for name, value in prompted.prompts[-1].stored().items():
            close(value, alone[name], 1e-6)
    assert backbone.get_decoder().config._attn_implementation == "sdpa"


def test_recording_fails_and_gives_the_attention_back() -> None:
    backbone = model("t5")
    with pytest.raises(KeyError), recording(backbone.encoder, backbone.decoder):
        raise KeyError
    assert {part.config._attn_implementation for part in (backbone.encoder, backbone.decoder)} == {"sdpa"}
