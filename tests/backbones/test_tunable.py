"""The tunable share: CaPT's Table 1 and Linear Head rows, counted on sketches of the published models."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, LlamaConfig, Qwen2Config, T5Config

import softprompt as sp
from softprompt.attached.attach import sketch
from softprompt.backbones.backbone import Backbone
from softprompt.backbones.fingerprint import num_parameters
from softprompt.backbones.tunable import Tunable, percentage

# The sizes of the models' own config.json.
T5_BASE: dict[str, Any] = {"d_model": 768, "d_kv": 64, "d_ff": 3072, "num_layers": 12, "num_heads": 12}
T5_LARGE: dict[str, Any] = {"d_model": 1024, "d_kv": 64, "d_ff": 4096, "num_layers": 24, "num_heads": 16}
MODELS: dict[str, Any] = {
    "T5-Base": T5Config(**T5_BASE, vocab_size=32128, tie_word_embeddings=True),
    "T5-Large": T5Config(**T5_LARGE, vocab_size=32128, tie_word_embeddings=True),
    "Llama-3.2-1B": LlamaConfig(
        vocab_size=128256, hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=32,
        num_key_value_heads=8, head_dim=64, tie_word_embeddings=True,
    ),
    "Qwen-2.5-1.5B": Qwen2Config(
        vocab_size=151936, hidden_size=1536, intermediate_size=8960, num_hidden_layers=28, num_attention_heads=12,
        num_key_value_heads=2, tie_word_embeddings=True,
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "size", "trained", "published"),
    [
        ("T5-Base", 222_903_552, 9_216, "4e-3"),
        ("T5-Large", 737_668_096, 24_576, "3e-3"),
        ("Llama-3.2-1B", 1_235_814_400, 32_768, "3e-3"),
        ("Qwen-2.5-1.5B", 1_543_714_304, 43_008, "3e-3"),
    ],
)
def test_capt_trains_the_published_share(name: str, size: int, trained: int, published: str) -> None:
    with torch.device("meta"):
        kind: Any = AutoModelForSeq2SeqLM if name.startswith("T5") else AutoModelForCausalLM
        model = kind.from_config(MODELS[name])
    assert num_parameters(model) == size  # what the checkpoints hold: the tied head is counted once
    made = sketch(Backbone(model, None), sp.CaPT())
    count = sum(one.numel() for one in made.parameters() if one.requires_grad)
    assert count == trained
    assert f"{float(Tunable.of(count, 0, size).told()):.0e}".replace("e-0", "e-") == published


def test_a_head_is_counted_apart() -> None:
    # The Linear Head row on Llama: two classes, no bias, 3e-4 %; beside CaPT it leaves 3e-3 % what it is.
    assert Tunable.of(0, 2 * 2048, 1_235_814_400).told() == "3.3e-4 (0)"
    both = Tunable.of(32_768, 2 * 2048, 1_235_814_400)
    assert (both.told(), both.backbone_parameters) == ("3.0e-3 (2.7e-3)", 1_235_814_400)
    assert both.sentence() == "3.0e-3 % of the backbone's 1,235,814,400 parameters, 2.7e-3 % without the head"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (2e-4, "2.0e-4"), (0.00999, "1.0e-2"), (0.06, "0.06"), (0.526, "0.53"), (0.996, "1"), (1.73, "1.7"),
     (9.96, "10.0"), (99.99, "100"), (100.2, "100")],
)  # fmt: skip
def test_two_digits(value: float, text: str) -> None:
    assert percentage(value) == text
