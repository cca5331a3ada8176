"""Prefix-Tuning: T5 and BART written down by hand, PEFT on GPT-2, words' own keys and values, published sizes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from peft import PrefixTuningConfig, get_peft_model
from torch import Tensor
from transformers import AutoModel, BartConfig, GPT2Config

from softprompt.attached.attach import attach, build
from softprompt.backbones.anatomy import read_anatomy
from softprompt.errors import SoftPromptError
from softprompt.methods import PrefixTuning
from softprompt.methods.parts.prefixes import Prefixes, stacks

from ..shared.models import HIDDEN, ids, model, padded, tokenizer
from ..shared.prompts import TARGET, attached, call, close, every_decoder, every_family, logits, producer, tiny

EXAMPLES = {
    "prefix_tuning": {"method": "prefix_tuning", "num_virtual_tokens": 3, "encoder_hidden_size": 16},
    "prefix_tuning_words": {
        "method": "prefix_tuning",
        "num_virtual_tokens": 4,
        "reparametrise": False,
        "init": "words",
        "init_text": "w20 w33 w47",
    },
}

P = 3
ROWS = [ids(7, 1), ids(4, 2)]


def by_hand(backbone: Any, batch: Tensor, mask: Tensor, prefixes: dict[str, Tensor]) -> Tensor:
    """Logits of T5 or BART at TARGET, one row at a time, from the paper's Attn(Q, [P_K; K], [P_V; V])."""
    run = {"t5": _t5, "bart": _bart}[backbone.config.model_type]
    rows = [run(backbone, row[seen.bool()][None], TARGET, prefixes) for row, seen in zip(batch, mask, strict=True)]
    return torch.cat(rows)


def attend(query: Tensor, key: Tensor, value: Tensor, flat: Tensor, layer: int, bias: Tensor, scale: float) -> Tensor:
    """One attention of one row: queries `(T, K * D)`, `flat` a place's table `(P, 2 N K D)`, bias `(K, T, S)`."""
    heads = bias.shape[0]
    table = flat.view(flat.shape[0], -1, 2, query.shape[1])[:, layer]  # [P, 2, K * D]
    key, value = torch.cat([table[:, 0], key]), torch.cat([table[:, 1], value])
    q, k, v = (x.view(x.shape[0], heads, -1).transpose(0, 1) for x in (query, key, value))
    scores = q @ k.transpose(1, 2) * scale
    scores = scores + torch.cat([torch.zeros(*bias.shape[:2], flat.shape[0]), bias], dim=-1)
    return (scores.softmax(-1) @ v).transpose(0, 1).flatten(1)


def causal(heads: int, length: int) -> Tensor:
    return torch.full((length, length), float("-inf")).triu(1).expand(heads, -1, -1)


def _t5(backbone: Any, text: Tensor, target: Tensor, prefixes: dict[str, Tensor]) -> Tensor:
    def attention(part: Any, x: Tensor, other: Tensor, place: str, layer: int, bias: Tensor) -> Tensor:
        return part.o(attend(part.q(x), part.k(other), part.v(other), prefixes[place], layer, bias, 1.0))

    encoder, decoder = backbone.encoder, backbone.decoder
    states, n, m = backbone.shared(text)[0], text.shape[1], target.shape[1]
    heads = backbone.config.num_heads
    bias = encoder.block[0].layer[0].SelfAttention.compute_bias(n, n)[0]
    for index, block in enumerate(encoder.block):
        x = block.layer[0].layer_norm(states)
        states = states + attention(block.layer[0].SelfAttention, x, x, "table", index, bias)
        states = block.layer[1](states)
    seen = encoder.final_layer_norm(states)
    states = backbone.shared(target)[0]
    bias = decoder.block[0].layer[0].SelfAttention.compute_bias(m, m)[0] + causal(heads, m)
    for index, block in enumerate(decoder.block):
        x = block.layer[0].layer_norm(states)
        states = states + attention(block.layer[0].SelfAttention, x, x, "decoder", index, bias)
        x = block.layer[1].layer_norm(states)
        cross = block.layer[1].EncDecAttention
        states = states + attention(cross, x, seen, "cross", index, torch.zeros(heads, m, n))
        states = block.layer[2](states)
    return backbone.lm_head(decoder.final_layer_norm(states) * backbone.config.d_model**-0.5)[None]


def _bart(backbone: Any, text: Tensor, target: Tensor, prefixes: dict[str, Tensor]) -> Tensor:
    def attention(part: Any, x: Tensor, other: Tensor, place: str, layer: int, bias: Tensor) -> Tensor:
        q, k, v = part.q_proj(x), part.k_proj(other), part.v_proj(other)
        return part.out_proj(attend(q, k, v, prefixes[place], layer, bias, part.head_dim**-0.5))

    def enter(part: Any, row: Tensor) -> Tensor:
        positions = part.embed_positions.weight[2 : 2 + row.shape[1]]  # text starts at 0 with the prefix, too
        return part.layernorm_embedding(part.embed_tokens(row)[0] + positions)

    def feed(layer: Any, x: Tensor) -> Tensor:
        return layer.final_layer_norm(x + layer.fc2(layer.activation_fn(layer.fc1(x))))

    encoder, decoder = backbone.model.encoder, backbone.model.decoder
    heads, n, m = backbone.config.decoder_attention_heads, text.shape[1], target.shape[1]
    states = enter(encoder, text)
    for index, layer in enumerate(encoder.layers):
        own = attention(layer.self_attn, states, states, "table", index, torch.zeros(heads, n, n))
        states = feed(layer, layer.self_attn_layer_norm(states + own))
    seen, states = states, enter(decoder, target)
    for index, layer in enumerate(decoder.layers):
        own = attention(layer.self_attn, states, states, "decoder", index, causal(heads, m))
        states = layer.self_attn_layer_norm(states + own)
        cross = attention(layer.encoder_attn, states, seen, "cross", index, torch.zeros(heads, m, n))
        states = feed(layer, layer.encoder_attn_layer_norm(states + cross))
    return (backbone.lm_head(states) + backbone.final_logits_bias)[None]


@pytest.mark.parametrize("family", ["t5", "bart"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_an_encoder_decoder_by_hand(family: str, attention: str, side: str) -> None:
    backbone = model(family, attention=attention)
    batch, mask = padded(ROWS, side)
    with attached(backbone, PrefixTuning(num_virtual_tokens=P, encoder_hidden_size=16)) as prompted, torch.no_grad():
        tables = prompted.prompts[0].stored()
        assert [*tables] == ["table", "decoder", "cross"]
        close(call(prompted, batch, mask).logits, by_hand(backbone, batch, mask, tables), 1e-5)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_pefts_gpt2() -> None:
    peft = get_peft_model(
        copy.deepcopy(model("gpt2")),
        PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=P, prefix_projection=True, encoder_hidden_size=16),
    ).eval()
    theirs, row = peft.prompt_encoder["default"], ids(7)
    with attached(model("gpt2"), PrefixTuning(num_virtual_tokens=P, encoder_hidden_size=16)) as prompted:
        mine = prompted.prompts[0].body
        with torch.no_grad():
            mine.table.copy_(theirs.embedding.weight)
            mine.project.load_state_dict(theirs.transform.state_dict())
            expected = peft(input_ids=row, attention_mask=torch.ones_like(row)).logits
            close(prompted(input_ids=row).logits, expected, 1e-5)


@pytest.mark.parametrize("deeper", [False, True])
def test_the_perceptron(deeper: bool) -> None:
    made = build(model("llama"), None, PrefixTuning(num_virtual_tokens=P, encoder_hidden_size=16, deeper=deeper))
    weights = [value for name, value in made.body.project.named_parameters()]
    states = made.body.table
    for index in range(0, len(weights), 2):
        states = states @ weights[index].T + weights[index + 1]
        states = states if index == len(weights) - 2 else states.tanh()
    assert len(weights) == (6 if deeper else 4)
    close(made.body.made(), states, 1e-6)
    keys, values = made.keys_values()[1]
    close(keys, states.view(P, 6, 2, 8)[:, 2].transpose(0, 1), 1e-6)
    close(values, states.view(P, 6, 2, 8)[:, 3].transpose(0, 1), 1e-6)


@every_family
@pytest.mark.parametrize("deeper", [False, True])
def test_a_stored_prefix_is_the_prefix(family: str, deeper: bool) -> None:
    method = PrefixTuning(num_virtual_tokens=P, encoder_hidden_size=16, deeper=deeper)
    with tiny(family, method) as prompted, torch.no_grad():
        expected = call(prompted, ids(6)).logits
        stored = prompted.prompts[0].stored()
    blank = build(model(family), None, method, blank=True)
    assert {name: value.shape for name, value in blank.stored().items()} == {n: v.shape for n, v in stored.items()}
    for made in (blank, producer(model(family), method, seed=9)):
        made.load_stored(stored)
        with attach(model(family), None, made) as prompted, torch.no_grad():
            close(call(prompted, ids(6)).logits, expected, 1e-6)
            assert sum(p.numel() for p in made.parameters()) == sum(value.numel() for value in stored.values())


@pytest.mark.parametrize("family", ["t5", "bart", "llama"])
def test_every_layer_of_every_place_has_its_own(family: str) -> None:
    """No two layers share a prefix, and none is thrown away: each scalar has a gradient of its own."""
    method = PrefixTuning(num_virtual_tokens=P, reparametrise=False, init_std=1.0)
    with tiny(family, method) as prompted:
        out = call(prompted, ids(6)).logits
        (out * torch.linspace(-1, 1, out.numel()).view_as(out)).mean().backward()
        grads = [parameter.grad for parameter in prompted.prompts.parameters()]
        assert len(grads) == (1 if family == "llama" else 3)
        for grad in grads:
            assert bool((grad != 0).all())
            layers = grad.view(P, -1, 2, 2 * 8 if family == "llama" else HIDDEN).transpose(0, 1).flatten(1)
            assert len(layers.unique(dim=0)) == len(layers)


@every_decoder
def test_words_continue_as_after_these_words(family: str) -> None:
    """Their own keys and values, used directly, are the words in front of the text."""
    backbone = model(family, window=64) if family == "gemma3" else model(family)
    method = PrefixTuning(num_virtual_tokens=4, reparametrise=False, init="words", init_text="w20 w33 w47")
    words, row = torch.tensor([[20, 33, 47, 20]]), ids(6, 1)
    with torch.no_grad():
        expected = backbone(input_ids=torch.cat([words, row], dim=1)).logits[:, 4:]
        with attach(backbone, tokenizer(), method) as prompted:
            close(prompted(input_ids=row).logits, expected, 1e-5)
            batch, mask = padded([row, ids(3, 2)], "left")
            close(logits(prompted, batch, mask)[0], expected[0], 1e-5)


@torch.no_grad()
@pytest.mark.parametrize("family", ["t5", "bart"])
def test_words_of_an_encoder_decoder(family: str) -> None:
    """The cross-attention's are made of the encoder's states, and the decoder reads the words, too."""
    backbone = model(family)
    method = PrefixTuning(num_virtual_tokens=P, reparametrise=False, init="words", init_text="w20 w33 w47")
    made, words = build(backbone, tokenizer(), method), torch.tensor([[20, 33, 47]])
    states = backbone.get_encoder()(input_ids=words).last_hidden_state
    out = backbone(input_ids=words, decoder_input_ids=words, use_cache=True)
    part = read_anatomy(backbone)
    for layer in range(2):
        cross = part.cross_attentions[layer]
        key = (cross.k if family == "t5" else cross.k_proj)(states)[0]
        close(made.cross_keys_values()[layer][0].transpose(0, 1).flatten(1), key, 1e-6)
        cache = out.past_key_values.self_attention_cache.layers[layer]
        for mine, theirs in zip(made.decoder_keys_values()[layer], (cache.keys, cache.values), strict=True):
            close(mine, theirs[0], 1e-6)
    for layer in range(3):
        attention = part.attentions[layer]
        value = (attention.v if family == "t5" else attention.v_proj).weight
        assert made.keys_values()[layer][1].shape == (4, P, value.shape[0] // 4)


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_the_perceptron_is_fitted_to_words(family: str) -> None:
    backbone = model(family, dropout=0.5)
    options = {"num_virtual_tokens": P, "init": "words", "init_text": "w20 w33 w47"}
    direct = build(backbone, tokenizer(), PrefixTuning(**options, reparametrise=False)).stored()
    backbone.train()
    flags = [module.training for module in backbone.modules()]
    again = build(backbone, tokenizer(), PrefixTuning(**options, reparametrise=False)).stored()
    assert all(torch.equal(again[name], value) for name, value in direct.items())  # no dropout falls on the words
    fits = [
        build(backbone, tokenizer(), PrefixTuning(**options, encoder_hidden_size=32, fit_steps=steps, fit_rate=0.02))
        for steps in (1, 300)
    ]
    assert [module.training for module in backbone.modules()] == flags
    backbone.eval()
    for name, wanted in direct.items():
        start, end = (float((made.stored()[name] - wanted).square().mean()) for made in fits)
        assert end < 0.02 * start
    assert torch.equal(fits[0].body.table, fits[1].body.table)
    assert all(p.grad is None and p.requires_grad for p in fits[1].parameters())


def test_words_come_from_the_labels_or_are_asked_for() -> None:
    method = PrefixTuning(num_virtual_tokens=4, reparametrise=False, init="words")
    named = PrefixTuning(num_virtual_tokens=4, reparametrise=False, init="words", init_text="w10 w11")
    with torch.no_grad():
        one = build(model("llama"), tokenizer(), method, label_words=("w10", "w11")).stored()["table"]
        assert torch.equal(one, build(model("llama"), tokenizer(), named).stored()["table"])
    with pytest.raises(SoftPromptError, match="set init_text"):
        build(model("llama"), tokenizer(), method)


@pytest.mark.parametrize("family", ["gpt2", "bert", "roberta", "bart"])
def test_more_words_than_the_model_has_positions_for(family: str) -> None:
    options = {"num_virtual_tokens": 90, "init": "words", "init_text": "w20", "fit_steps": 1}
    with pytest.raises(
        SoftPromptError, match=rf"read 90 words, but the backbone \({family}\) has 6[34] positions: lower"
    ):
        build(model(family), tokenizer(), PrefixTuning(**options))


@every_family
def test_scalars(family: str) -> None:
    m = 16
    with tiny(family, PrefixTuning(num_virtual_tokens=P, encoder_hidden_size=m)) as prompted:
        places = stacks(prompted.anatomy)
        assert [*places] == (["body", "decoder", "cross"] if family in ("t5", "bart") else ["body"])
        each = [stack.flat for stack in places.values()]
        part = prompted.anatomy
        sizes = {"body": part.num_key_value_heads * part.head_dim * part.num_layers}
        inner = part.decoder_key_value_heads * part.decoder_head_dim * len(part.decoder_layers)
        assert each == [2 * sizes.get(place, inner) for place in places]
        trained = sum(P * HIDDEN + m * (HIDDEN + 1) + (m + 1) * flat for flat in each)
        assert sum(p.numel() for p in prompted.parameters() if p.requires_grad) == trained
        stored = prompted.prompts[0].stored()
        assert sum(value.numel() for value in stored.values()) == P * sum(each)


def test_published_sizes() -> None:
    """GPT-2 medium with 5 tokens: 0.07 % of the model; BART-large with three prefixes of 100: 2 %."""
    d = 1024
    with torch.device("meta"):
        medium = AutoModel.from_config(GPT2Config(n_embd=d, n_layer=24, n_head=16))
        large = AutoModel.from_config(BartConfig())
    made = build(medium, None, PrefixTuning(num_virtual_tokens=5))
    assert sum(p.numel() for p in made.parameters()) == 5 * d + (d + 1) * 512 + 513 * 2 * 24 * d
    assert sum(value.numel() for value in made.stored().values()) == 245_760
    made = build(large, None, PrefixTuning(num_virtual_tokens=100, reparametrise=False))
    assert isinstance(made, Prefixes)
    assert sum(value.numel() for value in made.stored().values()) == 3 * 2 * 12 * 100 * d == 7_372_800
    made = build(large, None, PrefixTuning(num_virtual_tokens=100, encoder_hidden_size=800))
    assert sum(p.numel() for p in made.parameters()) == 3 * (100 * d + (d + 1) * 800 + 801 * 2 * 12 * d)


def test_dropout_falls_while_training_only() -> None:
    with tiny("t5", PrefixTuning(num_virtual_tokens=P, dropout=0.5)) as prompted, torch.no_grad():
        still = call(prompted, ids(5)).logits
        assert torch.equal(call(prompted, ids(5)).logits, still)
        prompted.train()
        assert not torch.equal(call(prompted, ids(5)).logits, still)
