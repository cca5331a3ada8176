"""Which part of a model reads text: what has none is refused in one true line, whatever the method."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from transformers import (
    BertConfig,
    BertLMHeadModel,
    BertModel,
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    DecisionTransformerConfig,
    DecisionTransformerModel,
    EncoderDecoderModel,
    FSMTConfig,
    FSMTForConditionalGeneration,
    FunnelConfig,
    FunnelForMaskedLM,
    MllamaForCausalLM,
    PatchTSTConfig,
    PatchTSTModel,
    PerceiverConfig,
    PerceiverForMaskedLM,
    ResNetConfig,
    ResNetModel,
    SiglipConfig,
    SiglipModel,
    T5GemmaConfig,
    T5GemmaForConditionalGeneration,
    ViTConfig,
    ViTForImageClassification,
    Wav2Vec2Config,
    Wav2Vec2Model,
)
from transformers.models.mllama.configuration_mllama import MllamaTextConfig
from transformers.models.t5gemma.configuration_t5gemma import T5GemmaModuleConfig

from softprompt.attached.attach import attach
from softprompt.backbones.anatomy import read_anatomy
from softprompt.errors import SoftPromptError
from softprompt.methods import CaPT, Method, PrefixTuning, PromptTuning, PTuningV2

from ..shared.models import HEADS, HIDDEN, VOCABULARY, ids, padded, tokenizer
from ..shared.prompts import TARGET, close, logits, producer

ONE = {"hidden_size": HIDDEN, "num_hidden_layers": 2, "num_attention_heads": HEADS, "intermediate_size": 37}
TEXT = {**ONE, "vocab_size": VOCABULARY, "max_position_embeddings": 32, "pad_token_id": 0, "bos_token_id": 1}
FSMT = {"src_vocab_size": 20, "tgt_vocab_size": 20, "d_model": 8, "encoder_layers": 1, "decoder_layers": 1}
FSMT |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
LATENT = {"num_latents": 4, "d_latents": 8, "d_model": 8, "num_blocks": 1, "num_self_attends_per_block": 1}
LATENT |= {"num_self_attention_heads": 2, "num_cross_attention_heads": 2}
SEEN = {**ONE, "image_size": 8, "patch_size": 4}
METHODS = [
    PromptTuning(num_virtual_tokens=3),
    PrefixTuning(num_virtual_tokens=3),
    PTuningV2(num_virtual_tokens=3),
    CaPT(),
]
WORDS = torch.tensor([[21, 34, 47]])
ROWS = [ids(7, 1), ids(4, 2)]


def whose_config_is(config: object) -> nn.Module:
    """A module as of diffusers, whose `config` is none of transformers'."""
    made = nn.Linear(2, 2)
    vars(made)["config"] = config
    return made


TEXTLESS: dict[str, tuple[Any, str]] = {
    "vit": (lambda: ViTForImageClassification(ViTConfig(**SEEN)), "'vit' reads pixel_values, not the ids of words"),
    "resnet": (
        lambda: ResNetModel(ResNetConfig(embedding_size=4, hidden_sizes=[4], depths=[1])),
        "'resnet' reads pixel_values",
    ),
    "sound": (
        lambda: Wav2Vec2Model(Wav2Vec2Config(**ONE, num_conv_pos_embeddings=2, num_conv_pos_embedding_groups=2)),
        "'wav2vec2' reads input_values",
    ),
    "series": (
        lambda: PatchTSTModel(PatchTSTConfig(d_model=8, num_hidden_layers=1, num_attention_heads=2)),
        "'patchtst' reads past_values",
    ),
    "decisions": (
        lambda: DecisionTransformerModel(DecisionTransformerConfig(hidden_size=8, n_layer=1, n_head=2)),
        "'decision_transformer' reads states",
    ),
    "two towers": (
        lambda: CLIPModel(CLIPConfig(text_config=TEXT, vision_config=SEEN, projection_dim=16)),
        "'clip' is several models in one.*attach to model.text_model",
    ),
    "towers that run together": (
        lambda: SiglipModel(SiglipConfig(text_config=TEXT, vision_config=SEEN)),
        "'siglip' does not run on ids alone .*attach to what reads text in it, model.text_model",
    ),
    "an encoder without configuration": (
        lambda: FSMTForConditionalGeneration(FSMTConfig(**FSMT, langs=["en", "de"])),
        "'fsmt': FSMTEncoder reads text, but has no configuration",
    ),
    "columns of its own": (
        lambda: PerceiverForMaskedLM(PerceiverConfig(**LATENT, vocab_size=20, max_position_embeddings=16)),
        "'perceiver' gives 16 columns for 6 tokens",
    ),
    "a dict": (
        lambda: whose_config_is({"in_channels": 4}),
        "Linear has a dict for its `config`, none of transformers'",
    ),
    "a namespace": (lambda: whose_config_is(SimpleNamespace()), "has a SimpleNamespace for its `config`"),
    "no config": (lambda: nn.Linear(2, 2), "Linear has no `config`: attach a transformers model"),
}


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
@pytest.mark.parametrize("what", TEXTLESS)
def test_what_has_no_place_for_prompts_is_refused_in_one_true_line(what: str, method: Method) -> None:
    make, why = TEXTLESS[what]
    with pytest.raises(SoftPromptError, match=why) as told:
        attach(make(), tokenizer(), method)
    assert "\n" not in str(told.value)
    assert "register_anatomy" not in str(told.value)  # nobody could describe what is not there


def shaken(made: Any) -> Any:
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in made.parameters():
            if weight.ndim > 1:
                weight.normal_(0, 0.2)
    return made.eval()


def test_the_tower_that_is_named_takes_prompts() -> None:
    """Its summary stands at the end token; an old file's configuration says the largest id, which is a virtual one."""
    ends = torch.tensor([[11, 12, 13, 99], [11, 99, 5, 5]])
    for number in (99, 2):
        tower = shaken(CLIPTextModelWithProjection(CLIPTextConfig(**TEXT, eos_token_id=number)))
        made = producer(tower, PromptTuning(num_virtual_tokens=3))
        with attach(tower, tokenizer(), made) as prompted, torch.no_grad():
            made.table.copy_(tower.get_input_embeddings()(WORDS)[0])
            plain = tower(input_ids=torch.cat([WORDS.expand(2, -1), ends], 1))
            close(prompted(input_ids=ends).text_embeds, plain.text_embeds)


def t5gemma() -> Any:
    sizes = {**TEXT, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 16, "query_pre_attn_scalar": 8}
    side = T5GemmaModuleConfig(**sizes, layer_types=["sliding_attention", "full_attention"])
    made = T5GemmaForConditionalGeneration(T5GemmaConfig(encoder=side, decoder=side, vocab_size=VOCABULARY))
    return shaken(made)


def pair() -> Any:
    told = BertLMHeadModel(BertConfig(**TEXT, is_decoder=True, add_cross_attention=True))
    made = EncoderDecoderModel(encoder=BertModel(BertConfig(**TEXT), add_pooling_layer=False), decoder=told)
    made.config.decoder_start_token_id = made.generation_config.decoder_start_token_id = 1
    made.config.pad_token_id = made.generation_config.pad_token_id = 0
    return shaken(made)


@pytest.mark.parametrize("make", [t5gemma, pair])
def test_both_sides_that_read_text_are_told_apart(make: Any) -> None:
    """By the model's own configuration, whatever its text's configuration speaks of."""
    backbone = make()
    made = producer(backbone, PromptTuning(num_virtual_tokens=3))
    with attach(backbone, tokenizer(), made) as prompted, torch.no_grad():
        assert prompted.anatomy.kind == "encoder-decoder"
        assert prompted.anatomy.body is backbone.get_encoder()
        made.table.copy_(backbone.get_encoder().get_input_embeddings()(WORDS)[0])
        for side in ("left", "right"):
            for row, found in zip(ROWS, logits(prompted, *padded(ROWS, side)), strict=True):
                close(found, backbone(input_ids=torch.cat([WORDS, row], 1), decoder_input_ids=TARGET).logits[0])
        some = prompted(input_ids=ROWS[0], decoder_input_ids=TARGET, positions=torch.tensor([[2]]))
        close(some.logits[0, 0], prompted(input_ids=ROWS[0], decoder_input_ids=TARGET).logits[0, 2])
        common = {"max_new_tokens": 4, "do_sample": False}
        plain = backbone.generate(torch.cat([WORDS, ROWS[0]], 1), **common)
        assert prompted.generate(ROWS[0], **common).tolist() == plain.tolist()


@pytest.mark.parametrize("make", [t5gemma, pair])
@pytest.mark.parametrize("method", METHODS[2:], ids=lambda method: method.name)
def test_their_rows_are_alone_in_a_batch(make: Any, method: Method) -> None:
    backbone = make()
    with attach(backbone, tokenizer(), producer(backbone, method)) as prompted, torch.no_grad():
        for side in ("left", "right"):
            for row, found in zip(ROWS, logits(prompted, *padded(ROWS, side)), strict=True):
                close(found, logits(prompted, row)[0])


def test_layers_that_read_images_alone_are_no_layers_of_the_text() -> None:
    """Mllama leaves them out where a call has no image; prompts stand at the others."""
    text = {**TEXT, "num_hidden_layers": 3, "num_key_value_heads": 2, "cross_attention_layers": [1], "pad_token_id": 0}
    rope = {"rope_type": "default", "rope_theta": 10000.0}
    backbone = shaken(MllamaForCausalLM(MllamaTextConfig(**text, rope_parameters=rope)))
    assert read_anatomy(backbone).num_layers == 2
    for method in METHODS:
        with attach(backbone, tokenizer(), producer(backbone, method)) as prompted, torch.no_grad():
            found = prompted(input_ids=ROWS[0]).logits
            assert not torch.allclose(found, backbone(input_ids=ROWS[0]).logits, atol=1e-3)
            for row, alone in zip(ROWS, logits(prompted, *padded(ROWS, "left")), strict=True):
                close(alone, logits(prompted, row)[0])


def test_layers_that_take_queries_and_keys_apart_take_no_capsule() -> None:
    """Funnel's: what is written into the queries is none in the keys. Its input takes virtual tokens as any."""
    sizes = {"d_model": HIDDEN, "n_head": HEADS, "d_head": 8, "d_inner": 37, "block_sizes": [1, 1]}
    backbone = shaken(FunnelForMaskedLM(FunnelConfig(vocab_size=VOCABULARY, num_decoder_layers=1, **sizes)))
    with pytest.raises(SoftPromptError, match="cannot serve the site 'hidden'.*'stream' .such as prompt_tuning"):
        attach(backbone, tokenizer(), CaPT())
    with attach(backbone, tokenizer(), PromptTuning(num_virtual_tokens=3)) as prompted, torch.no_grad():
        assert prompted(input_ids=ROWS[0]).logits.shape == (1, 7, VOCABULARY)


def test_a_prefix_on_both_sides_takes_no_position() -> None:
    """As in Prefix-Tuning's code for BART, so where positions turn the keys of the text, too."""
    backbone = t5gemma()
    made = producer(backbone, PrefixTuning(num_virtual_tokens=3))
    with attach(backbone, tokenizer(), made) as prompted:
        assert prompted.slots[0].prefix == 0
    with attach(backbone, tokenizer(), producer(backbone, PTuningV2(num_virtual_tokens=3))) as prompted:
        assert prompted.slots[0].prefix == 3
