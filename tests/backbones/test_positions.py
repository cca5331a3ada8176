"""Bodies that are told positions at a part of theirs: a decoder's table, or the model of text that a wrapper holds."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    DynamicCache,
    GenerationMixin,
    LlamaConfig,
    LlamaModel,
    PreTrainedModel,
    ProphetNetConfig,
    ProphetNetForCausalLM,
    ProphetNetModel,
)
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast

from softprompt.attached.attach import attach
from softprompt.backbones.anatomy import read_anatomy
from softprompt.errors import SoftPromptError
from softprompt.methods import PrefixTuning, PromptTuning, PTuningV2

from ..shared.models import HEADS, HIDDEN, LAYERS, POSITIONS, VOCABULARY, ids, padded, tokenizer
from ..shared.prompts import close, logits, producer

SIZES = {
    "vocab_size": VOCABULARY,
    "d_model": HIDDEN,
    "encoder_layers": LAYERS,
    "decoder_layers": LAYERS,
    "encoder_attention_heads": HEADS,
    "decoder_attention_heads": HEADS,
    "encoder_ffn_dim": 37,
    "decoder_ffn_dim": 37,
    "max_position_embeddings": POSITIONS,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "forced_eos_token_id": None,
}
OPEN = ("bart", "mbart", "pegasus", "marian", "blenderbot", "blenderbot-small", "plbart", "wrapper")
FAMILIES = (*OPEN, "mvp", "trocr")  # whose attention cannot be joined
ROWS = [ids(7, 1), ids(3, 2), ids(5, 3)]
WORDS = torch.tensor([[21, 34, 47]])


class Wrapper(PreTrainedModel):
    """A body that hands whatever it is given on to a model of text, as those of sounds do."""

    config_class = LlamaConfig

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__(config)
        self.language_model = LlamaModel(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.language_model.embed_tokens

    def forward(
        self, input_ids: Tensor | None = None, inputs_embeds: Tensor | None = None, **kwargs: Any
    ) -> BaseModelOutputWithPast:
        embedded = self.get_input_embeddings()(input_ids) if inputs_embeds is None else inputs_embeds
        return self.language_model(inputs_embeds=embedded, **kwargs)


class WrapperForCausalLM(PreTrainedModel, GenerationMixin):
    """With a head."""

    config_class = LlamaConfig
    base_model_prefix = "model"

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__(config)
        self.model = Wrapper(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids: Tensor | None = None, **kwargs: Any) -> CausalLMOutputWithPast:
        output = self.model(input_ids, **{k: v for k, v in kwargs.items() if k not in ("labels", "return_dict")})
        return CausalLMOutputWithPast(
            logits=self.lm_head(output.last_hidden_state), past_key_values=output.past_key_values
        )


@functools.cache
def tiny(family: str) -> Any:
    """A decoder alone, or the wrapper, whose every weight matters."""
    torch.manual_seed(0)
    if family == "wrapper":
        small = {"hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS}
        made: Any = WrapperForCausalLM(LlamaConfig(**SIZES, **small, num_key_value_heads=2, intermediate_size=37))
    else:
        config = AutoConfig.for_model(family, **SIZES, hidden_size=HIDDEN, is_decoder=True, is_encoder_decoder=False)
        made = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for weight in made.parameters():
            if weight.ndim > 1:
                weight.normal_(0, 0.2)
    made.generation_config.eos_token_id = None
    return made.eval()


def worded(family: str) -> Any:
    """A prompt whose vectors are the embeddings of WORDS."""
    made = producer(tiny(family), PromptTuning(num_virtual_tokens=3))
    with torch.no_grad():
        made.table.copy_(tiny(family).get_input_embeddings()(WORDS)[0])
    return made


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("side", ["left", "right"])
def test_vectors_of_words_are_these_words_whatever_the_padding(family: str, side: str) -> None:
    with attach(tiny(family), tokenizer(), worded(family)) as prompted, torch.no_grad():
        assert prompted.anatomy.kind == "causal"
        for row, found in zip(ROWS, logits(prompted, *padded(ROWS, side)), strict=True):
            close(found, tiny(family)(torch.cat([WORDS, row], 1)).logits[0, 3:])


@pytest.mark.parametrize("family", OPEN)
@pytest.mark.parametrize("method", [PTuningV2, PrefixTuning])
def test_the_text_starts_behind_keys_and_values(family: str, method: Any) -> None:
    made = producer(tiny(family), method(num_virtual_tokens=3))
    with attach(tiny(family), tokenizer(), made) as prompted, torch.no_grad():
        for side in ("left", "right"):
            for row, found in zip(ROWS, logits(prompted, *padded(ROWS, side)), strict=True):
                cache = DynamicCache()
                for layer, (keys, values) in enumerate(made.keys_values()):
                    cache.update(keys[None], values[None], layer)
                wide = torch.ones(1, 3 + row.shape[1], dtype=torch.long)
                close(found, tiny(family)(row, attention_mask=wide, past_key_values=cache).logits[0])


@pytest.mark.parametrize(
    ("family", "method"), [*((family, PromptTuning) for family in FAMILIES), *((family, PTuningV2) for family in OPEN)]
)
def test_generate_counts_what_is_no_padding(family: str, method: Any) -> None:
    made = producer(tiny(family), method(num_virtual_tokens=3))
    with attach(tiny(family), tokenizer(), made) as prompted, torch.no_grad():
        whole, mask = padded(ROWS, "left")
        found = prompted.generate(whole, attention_mask=mask, max_new_tokens=4, do_sample=False)[:, -4:]
        for row, new in zip(ROWS, found, strict=True):
            step = row
            for _ in range(4):
                step = torch.cat([step, prompted(step).logits[:, -1:].argmax(-1)], 1)
            assert new.tolist() == step[0, -4:].tolist()


def test_a_table_that_refuses_positions_is_none() -> None:
    """ProphetNet's takes `position_ids` by name, and no padding id beside them, which it has."""
    config = ProphetNetConfig(
        vocab_size=VOCABULARY, hidden_size=HIDDEN, num_decoder_layers=1, num_encoder_layers=1, decoder_ffn_dim=37,
        encoder_ffn_dim=37, num_decoder_attention_heads=HEADS, num_encoder_attention_heads=HEADS,
    )  # fmt: skip
    read = read_anatomy(ProphetNetModel(config).eval())
    assert read.positions is None
    assert read.counts_columns
    with pytest.raises(SoftPromptError, match="predicts several tokens at once, from streams of states"):
        attach(ProphetNetForCausalLM(config).eval(), tokenizer(), PromptTuning(num_virtual_tokens=2))
