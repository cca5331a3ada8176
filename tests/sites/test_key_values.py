"""Keys and values as attention is handed them, whatever the configuration tells."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    DeepseekV3Config,
    DynamicCache,
    FNetConfig,
    GPTBigCodeConfig,
    JambaConfig,
    Lfm2Config,
    PreTrainedConfig,
    RecurrentGemmaConfig,
)

from softprompt.attached.attach import attach
from softprompt.backbones.anatomy import read_anatomy
from softprompt.backbones.remembered import Remembered
from softprompt.errors import SoftPromptError
from softprompt.methods import CaPT, PrefixTuning, PromptTuning, PTuningV2
from softprompt.sites import key_values as module
from softprompt.sites.key_values import Heads, key_values

from ..shared.models import ids, model, tokenizer
from ..shared.unusual import unusual

BASE: dict[str, Any] = {
    "vocab_size": 100, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 64, "max_position_embeddings": 128, "pad_token_id": 0,
}  # fmt: skip
LATENT = DeepseekV3Config(
    **{**BASE, "num_key_value_heads": 4}, kv_lora_rank=16, q_lora_rank=16, qk_rope_head_dim=8, qk_nope_head_dim=8,
    v_head_dim=8, moe_intermediate_size=16, n_routed_experts=4, num_experts_per_tok=2, n_group=1, topk_group=1,
    first_k_dense_replace=1,
)  # fmt: skip
ONE_HEAD = GPTBigCodeConfig(vocab_size=100, n_embd=32, n_layer=3, n_head=4, n_positions=128, pad_token_id=0)
HYBRID = Lfm2Config(**BASE, layer_types=["conv", "full_attention", "conv"], conv_L_cache=3)
EVERY_OTHER = JambaConfig(
    **{**BASE, "num_hidden_layers": 4}, attn_layer_period=2, attn_layer_offset=1, num_experts=2,
    use_mamba_kernels=False, mamba_d_state=4, mamba_dt_rank=4,
)  # fmt: skip
WANTED = {
    "latent": (LATENT, (Heads(4, 16, 8),) * 3),
    "one head": (ONE_HEAD, (Heads(1, 8, 8),) * 3),
    "hybrid": (HYBRID, (None, Heads(2, 8, 8), None)),
    "every other": (EVERY_OTHER, (None, Heads(2, 8, 8), None, Heads(2, 8, 8))),
}


def made(config: PreTrainedConfig) -> Any:
    """A tiny model of its own, with weights large enough to show."""
    torch.manual_seed(0)
    backbone = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in backbone.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0.0, 0.2)
    return backbone


@pytest.mark.parametrize("name", WANTED)
def test_sizes_are_those_that_attention_is_handed(name: str) -> None:
    config, wanted = WANTED[name]
    part = read_anatomy(made(config))
    assert key_values(part).heads == {"body": wanted}
    assert tuple(one is not None for one in part.attentions) == tuple(one is not None for one in wanted)


@pytest.mark.parametrize("name", ["latent", "one head"])
def test_a_prefix_of_words_is_these_words(name: str) -> None:
    """Keys and values as the model itself makes them of words are the words in front of the text."""
    backbone = made(WANTED[name][0])
    method = PrefixTuning(num_virtual_tokens=3, init_text="w7 w8 w9", init="words", reparametrise=False)
    with attach(backbone, tokenizer(), method) as prompted, torch.no_grad():
        found = prompted(input_ids=ids(6)).logits
        words = torch.tensor([tokenizer()("w7 w8 w9", add_special_tokens=False)["input_ids"]])
        wanted = backbone(input_ids=torch.cat([words, ids(6)], dim=1)).logits[:, 3:]
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["one head"])
def test_a_prefix_is_a_cache(name: str) -> None:
    backbone = made(WANTED[name][0])
    with attach(backbone, tokenizer(), PTuningV2(num_virtual_tokens=3, init_std=1.0)) as prompted, torch.no_grad():
        cache = DynamicCache()
        for layer, (key, value) in enumerate(prompted.prompts[0].keys_values()):
            cache.update(key[None], value[None], layer)
        found = prompted(input_ids=ids(6)).logits
        mask = torch.ones(1, 9, dtype=torch.long)
        wanted = backbone(input_ids=ids(6), attention_mask=mask, past_key_values=cache).logits
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["hybrid", "every other"])
@pytest.mark.parametrize("method", [PTuningV2(num_virtual_tokens=3, init_std=1.0), PrefixTuning(num_virtual_tokens=3)])
def test_a_hybrid_has_prefixes_where_it_has_attention(name: str, method: Any) -> None:
    """Two heads of width 8: a key and a value for each attention layer, and no scalar for the others."""
    config, heads = WANTED[name]
    layers = sum(one is not None for one in heads)
    with attach(made(config), tokenizer(), method) as prompted, torch.no_grad():
        assert prompted.prompts[0].stored()["table"].shape == (3, layers * 2 * 2 * 8)
        whole = prompted(input_ids=ids(6)).logits
        padded = torch.nn.functional.pad(ids(6), (2, 0))
        mask = torch.nn.functional.pad(torch.ones_like(ids(6)), (2, 0))
        torch.testing.assert_close(prompted(input_ids=padded, attention_mask=mask).logits[:, 2:], whole)
        (row,) = prompted.generate(ids(6), max_new_tokens=3, do_sample=False, eos_token_id=None)
        step: Tensor = ids(6)
        for _ in range(3):
            step = torch.cat([step, prompted(input_ids=step).logits[:, -1:].argmax(-1)], dim=1)
        assert row.tolist() == step[0].tolist()


@pytest.mark.parametrize("name", ["hybrid", "every other"])
def test_rounding_is_no_beginning(name: str) -> None:
    """In bfloat16 other positions give other numbers, but not at a first token."""
    backbone = made(WANTED[name][0]).to(torch.bfloat16)
    assert key_values(read_anatomy(backbone)).heads == {"body": WANTED[name][1]}


def test_a_recurrence_that_begins_at_position_0_has_no_prefix() -> None:
    config = RecurrentGemmaConfig(
        vocab_size=100, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=1, head_dim=8,
        intermediate_size=96, lru_width=32, attention_window_size=64, pad_token_id=0,
        block_types=["recurrent", "recurrent", "attention"],
    )  # fmt: skip
    backbone = made(config)
    with pytest.raises(SoftPromptError, match="begins anew at position 0.*prompt_tuning.*capt"):
        attach(backbone, tokenizer(), PTuningV2(num_virtual_tokens=3))
    with attach(backbone, tokenizer(), PromptTuning(num_virtual_tokens=3)) as prompted, torch.no_grad():
        alone = prompted(input_ids=ids(6)).logits
        padded = torch.nn.functional.pad(ids(6), (2, 0))
        mask = torch.nn.functional.pad(torch.ones_like(ids(6)), (2, 0))
        torch.testing.assert_close(prompted(input_ids=padded, attention_mask=mask).logits[:, 2:], alone)


@pytest.mark.parametrize("side", [(2, 0), (0, 2)])
def test_a_mask_that_a_model_keeps_from_its_body_counts(side: tuple[int, int]) -> None:
    """FNet's model takes no mask, so that its transform would mix padding into the text."""
    backbone = AutoModelForMaskedLM.from_config(
        FNetConfig(vocab_size=100, hidden_size=32, num_hidden_layers=2, intermediate_size=64, pad_token_id=0)
    ).eval()
    for method in (CaPT(init_std=0.5), PromptTuning(num_virtual_tokens=3)):
        with attach(backbone, tokenizer(), method) as prompted, torch.no_grad():
            batch = torch.cat([torch.nn.functional.pad(ids(6), side), ids(8, 1)])
            mask = torch.cat([torch.nn.functional.pad(torch.ones_like(ids(6)), side), torch.ones(1, 8).long()])
            together = prompted(input_ids=batch, attention_mask=mask).logits
            torch.testing.assert_close(together[:1, side[0] : side[0] + 6], prompted(input_ids=ids(6)).logits)
            torch.testing.assert_close(together[1:], prompted(input_ids=batch[1:]).logits)


def test_layers_without_attention_cannot_be_chosen() -> None:
    with pytest.raises(SoftPromptError, match="select=0,1 names layers that have no attention: choose from 1"):
        attach(made(HYBRID), tokenizer(), PTuningV2(num_virtual_tokens=3, select="0,1"))
    with attach(made(HYBRID), tokenizer(), PTuningV2(num_virtual_tokens=3, select="first:2")) as prompted:
        assert prompted.prompts[0].body.stack.places == (1,)


@pytest.fixture
def _nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_run", lambda *_, **__: 1 / 0)
    monkeypatch.setattr(module, "_FOUND", Remembered())


@pytest.mark.usefixtures("_nothing_runs")
@pytest.mark.parametrize("family", ["llama", "bert", "t5"])
def test_a_body_that_cannot_be_run_is_as_its_configuration_says(family: str) -> None:
    part = read_anatomy(model(family))
    heads = Heads(part.num_key_value_heads, part.head_dim, part.head_dim)
    assert set(key_values(part).heads["body"]) == {heads}


@pytest.mark.usefixtures("_nothing_runs")
def test_nothing_tells_of_keys_and_values() -> None:
    part = dataclasses.replace(read_anatomy(model("llama")), num_key_value_heads=0)
    with pytest.raises(SoftPromptError, match="'llama' cannot serve the site 'attention'.*prompt_tuning.*capt"):
        key_values(part)


def test_blocks_that_are_seen_by_position_take_no_prefix() -> None:
    """DeepSeek V4 sums columns up; behind keys and values that take positions a token would see what follows it."""
    backbone = unusual("deepseek_v4", AutoModelForCausalLM)
    with pytest.raises(SoftPromptError, match="see by their positions what is summed up.*prompt_tuning"):
        attach(backbone, tokenizer(), PTuningV2(num_virtual_tokens=3))
    with attach(backbone, tokenizer(), PromptTuning(num_virtual_tokens=3)) as prompted, torch.no_grad():
        alone = prompted(input_ids=ids(6)).logits
        padded = torch.nn.functional.pad(ids(6), (0, 2))
        mask = torch.nn.functional.pad(torch.ones_like(ids(6)), (0, 2))
        torch.testing.assert_close(prompted(input_ids=padded, attention_mask=mask).logits[:, :6], alone)
