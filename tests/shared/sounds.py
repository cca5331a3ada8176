"""Tiny random models whose encoder reads sounds or images and whose decoder reads text."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor
from transformers import (
    BertConfig,
    BertLMHeadModel,
    MoonshineConfig,
    MoonshineForConditionalGeneration,
    Speech2TextConfig,
    Speech2TextForConditionalGeneration,
    VisionEncoderDecoderModel,
    ViTConfig,
    ViTModel,
    WhisperConfig,
    WhisperForConditionalGeneration,
)

from .models import HEADS, HIDDEN, VOCABULARY

_SIDES = {
    "vocab_size": VOCABULARY,
    "d_model": HIDDEN,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": HEADS,
    "decoder_attention_heads": HEADS,
    "encoder_ffn_dim": 37,
    "decoder_ffn_dim": 37,
    "max_source_positions": 20,
    "max_target_positions": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}
_ONE = {"hidden_size": HIDDEN, "num_hidden_layers": 2, "num_attention_heads": HEADS, "intermediate_size": 37}
# What each reads, and the shape of two of it.
SOURCES: dict[str, tuple[str, tuple[int, ...]]] = {
    "whisper": ("input_features", (2, 8, 40)),
    "speech_to_text": ("input_features", (2, 40, 8)),
    "moonshine": ("input_values", (2, 2000)),
    "vision-encoder-decoder": ("pixel_values", (2, 3, 8, 8)),
}


def _made(family: str) -> Any:
    if family == "whisper":
        whisper = WhisperConfig(**_SIDES, num_mel_bins=8, suppress_tokens=None, begin_suppress_tokens=None)
        return WhisperForConditionalGeneration(whisper)
    if family == "speech_to_text":
        small = {"input_feat_per_channel": 8, "conv_channels": 16, "num_conv_layers": 2}
        return Speech2TextForConditionalGeneration(Speech2TextConfig(**_SIDES, **small))
    if family == "moonshine":
        counts = {"num_hidden_layers": 2, "num_attention_heads": HEADS, "num_key_value_heads": HEADS}
        sizes = {f"{side}_{name}": one for side in ("encoder", "decoder") for name, one in counts.items()}
        tokens = {name: one for name, one in _SIDES.items() if name.endswith("_token_id") or name == "vocab_size"}
        return MoonshineForConditionalGeneration(
            MoonshineConfig(hidden_size=HIDDEN, intermediate_size=37, **sizes, **tokens)
        )
    seen = ViTModel(ViTConfig(**_ONE, image_size=8, patch_size=4), add_pooling_layer=False)
    told = BertLMHeadModel(
        BertConfig(**_ONE, vocab_size=VOCABULARY, is_decoder=True, add_cross_attention=True, max_position_embeddings=32)
    )
    both = VisionEncoderDecoderModel(encoder=seen, decoder=told)
    both.config.decoder_start_token_id = both.generation_config.decoder_start_token_id = 1
    both.config.pad_token_id = both.generation_config.pad_token_id = 0
    return both


@functools.cache
def hearing(family: str) -> Any:
    """A tiny model of `SOURCES` whose every weight matters."""
    torch.manual_seed(0)
    made = _made(family).eval()
    with torch.no_grad():
        for weight in made.parameters():
            if weight.ndim > 1:
                weight.normal_(0, 0.2)
    made.generation_config.eos_token_id = None
    made.generation_config.forced_bos_token_id = None
    return made


def heard(family: str) -> dict[str, Tensor]:
    """Two recordings, or images."""
    name, shape = SOURCES[family]
    return {name: torch.randn(shape, generator=torch.Generator().manual_seed(3))}
