"""Tiny checkpoints on disk as their libraries write them, an adapter beside one, and a GGUF file."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import peft
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BartConfig,
    BertConfig,
    ElectraConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    RobertaConfig,
    T5Config,
)

from softprompt.backbones.load import load_backbone
from softprompt.errors import SoftPromptError

WORDS = ["<unk>", "<s>", "</s>", "a", "moving", "film", "▁a", "▁film"]


SIZES = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


LLAMA = LlamaConfig(**SIZES, num_key_value_heads=1, vocab_size=8, tie_word_embeddings=False)


TIED = LlamaConfig(**SIZES, num_key_value_heads=1, vocab_size=8, tie_word_embeddings=True)


BERT = BertConfig(**SIZES, vocab_size=8)


ROBERTA = RobertaConfig(**SIZES, vocab_size=8)


ELECTRA = ElectraConfig(**SIZES, embedding_size=8, vocab_size=8)


T5 = T5Config(d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, vocab_size=8)


BART = BartConfig(
    d_model=16,
    encoder_layers=1,
    decoder_layers=1,
    encoder_attention_heads=2,
    decoder_attention_heads=2,
    encoder_ffn_dim=16,
    decoder_ffn_dim=16,
    vocab_size=8,
)
IDS = torch.tensor([[1, 3, 4, 5]])


def tokenizer(**special: str) -> PreTrainedTokenizerFast:
    vocabulary = {word: index for index, word in enumerate(WORDS)}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", **special)


def save(folder: Path, model, **special: str) -> Path:
    model.save_pretrained(folder)
    tokenizer(**(special or {"bos_token": "<s>", "eos_token": "</s>"})).save_pretrained(folder)
    return folder


def write_gguf(model: LlamaForCausalLM, file: Path) -> None:
    """Llama as llama.cpp writes it: rows of queries and keys are interleaved for its rotary embedding."""
    config = model.config
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_name("tiny")
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(64)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_tokenizer_model("llama")
    writer.add_token_list(WORDS)
    writer.add_token_scores([-float(index) for index in range(len(WORDS))])
    writer.add_token_types([2, 3, 3, *[1] * (len(WORDS) - 3)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, value in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        array = value.numpy().astype(np.float32)
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(name.split(".")[-2])
        if heads:
            array = array.reshape(heads, 2, -1, array.shape[1]).swapaxes(1, 2).reshape(array.shape)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def with_adapter(folder: Path, scale: float = 0.5) -> torch.Tensor:
    """Put a LoRA adapter beside a folder's weights; the logits with it."""
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    with warnings.catch_warnings(action="ignore"):  # PEFT asks for an attribute that transformers renamed
        adapted = peft.get_peft_model(LlamaForCausalLM.from_pretrained(folder), config)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.normal_(0.0, scale)
        logits: torch.Tensor = adapted.eval()(IDS).logits
    adapted.save_pretrained(folder)
    return logits


def load_plain(name: Any) -> Any:
    """A model in float32 on the CPU."""
    return load_backbone(name, device="cpu", dtype="float32")[0]


def edit(file: Path, **changes: Any) -> None:
    """Change keys of a JSON file, or write one of these alone."""
    found = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps({**found, **changes}))


def refusal(name: Any) -> str:
    """The one line in which a backbone is refused."""
    with pytest.raises(SoftPromptError) as error:
        load_plain(name)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)
