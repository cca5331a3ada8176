"""Where the parts of each family lie, and what a family that has them elsewhere is told."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    DebertaV2Config,
    LlamaConfig,
    MambaConfig,
    OPTConfig,
    PretrainedConfig,
    ReformerConfig,
)

from softprompt.attached.attach import attach
from softprompt.backbones import anatomy
from softprompt.backbones.anatomy import read_anatomy, register_anatomy
from softprompt.errors import SoftPromptError
from softprompt.methods import CaPT, DeepPrompt, HardPrompt, Method, PromptTuning, PTuningV2

from ..shared.models import (
    DECODERS,
    ENCODER_DECODERS,
    ENCODERS,
    FAMILIES,
    HIDDEN,
    LAYERS,
    POSITIONS,
    VOCABULARY,
    heads,
    ids,
    model,
    padded,
    tokenizer,
)
from ..shared.prompts import attached, close, logits

METHODS = [
    CaPT(init_std=0.5),
    PromptTuning(num_virtual_tokens=3, init="random_uniform"),
    PTuningV2(num_virtual_tokens=3, init_std=1.0),
    DeepPrompt(num_virtual_tokens=2, init_std=0.5),
]


@pytest.mark.parametrize("family", FAMILIES)
def test_parts(family: str) -> None:
    part = read_anatomy(model(family))
    kinds = {**dict.fromkeys(ENCODERS, "encoder"), **dict.fromkeys(ENCODER_DECODERS, "encoder-decoder")}
    assert part.kind == kinds.get(family, "causal")
    assert part.num_layers == LAYERS
    assert len(set(part.layers)) == (1 if family == "albert" else LAYERS)
    assert part.hidden_size == HIDDEN
    assert part.embedding_size == (16 if family in ("albert", "electra") else HIDDEN)
    assert part.vocab_size == VOCABULARY
    assert part.num_key_value_heads == (2 if family in DECODERS and family != "gpt2" else 4)
    assert part.head_dim == (12 if family in ("qwen3", "gemma3") else 8)
    assert (part.decoder is not None) == (family in ENCODER_DECODERS)
    assert part.absolute == (family in ("bert", "roberta", "albert", "distilbert", "electra", "bart", "gpt2"))
    limit = {"t5": None, "mt5": None, "roberta": POSITIONS - 1}.get(family, POSITIONS)
    assert part.max_positions == limit
    assert part.position_offset == (1 if family == "roberta" else 0)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_family_serves_every_site(family: str, method: Method) -> None:
    with attached(model(family), HardPrompt()) as plain, torch.no_grad():
        without = logits(plain, ids(5))[0]
    with attached(model(family), method) as prompted, torch.no_grad():
        alone = logits(prompted, ids(5))[0]
        assert (alone - without).abs().max() > 1e-3
        for side in ("left", "right"):
            close(logits(prompted, *padded([ids(5), ids(8, 1)], side))[0], alone)


@pytest.mark.parametrize(("family", "head"), [(f, h) for f in FAMILIES for h in heads(f)])
def test_every_head_has_the_same_anatomy(family: str, head: str) -> None:
    part, plain = read_anatomy(model(family, head)), read_anatomy(model(family))
    sizes = ("family", "num_layers", "hidden_size", "embedding_size", "vocab_size", "max_positions", "head_dim")
    assert [getattr(part, name) for name in sizes] == [getattr(plain, name) for name in sizes]


def test_a_closed_attention_is_named() -> None:
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 37}
    backbone = AutoModelForMaskedLM.from_config(DebertaV2Config(vocab_size=VOCABULARY, hidden_size=HIDDEN, **sizes))
    with pytest.raises(SoftPromptError, match="'deberta-v2' cannot serve the site 'attention'"):
        attach(backbone, tokenizer(), METHODS[2])
    with attach(backbone, tokenizer(), METHODS[1]) as prompted:  # the other sites serve it
        assert prompted(input_ids=ids(5)).logits.shape == (1, 5, VOCABULARY)


def test_a_family_without_attention() -> None:
    """Mamba's layers hand states on, so that virtual tokens and capsules work; there are no keys to join."""
    backbone = AutoModelForCausalLM.from_config(
        MambaConfig(vocab_size=VOCABULARY, hidden_size=HIDDEN, num_hidden_layers=2)
    ).eval()
    for method in (METHODS[0], METHODS[1], METHODS[3]):
        with attach(backbone, tokenizer(), method) as prompted:
            assert prompted(input_ids=ids(5)).logits.shape == (1, 5, VOCABULARY)
    with pytest.raises(SoftPromptError, match="'mamba' cannot serve the site 'attention'.*prompt_tuning.*capt"):
        attach(backbone, tokenizer(), METHODS[2])


def test_a_family_that_no_prompt_can_be_trained_on() -> None:
    config = ReformerConfig(
        vocab_size=VOCABULARY, hidden_size=HIDDEN, attn_layers=["local"], axial_pos_shape=[4, 8], is_decoder=True,
        axial_pos_embds_dim=[16, 16], num_attention_heads=2, attention_head_size=8, feed_forward_size=32,
        local_attn_chunk_length=4,
    )  # fmt: skip
    with pytest.raises(SoftPromptError, match="'reformer' cannot be prompted.*choose another backbone"):
        attach(AutoModelForCausalLM.from_config(config), tokenizer(), METHODS[1])


class Strange(nn.Module):
    """A model with its layers where no family has them."""

    def __init__(self) -> None:
        super().__init__()
        self.config = PretrainedConfig()
        self.config.model_type = "strange"
        self.inside = model("llama", seed=4)

    def get_input_embeddings(self) -> nn.Module:
        return self.inside.get_input_embeddings()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> Any:
        return self.inside(input_ids=input_ids, attention_mask=attention_mask, use_cache=False)


@pytest.fixture
def _strange_is_known() -> Iterator[None]:
    register_anatomy("strange", lambda found: dataclasses.replace(read_anatomy(found.inside), family="strange"))
    yield
    del anatomy._READERS.known["strange"]


def test_an_unknown_family_is_named() -> None:
    """One whose tokens have no table to be looked up in; what wraps another model is found by running it."""
    backbone = Strange()
    part = read_anatomy(backbone)
    assert (part.body, part.layers) == (backbone.inside.model, tuple(backbone.inside.model.layers))
    backbone.inside = nn.Linear(2, 2)
    backbone.get_input_embeddings = lambda: None  # type: ignore[assignment,return-value]  # as vision models do
    with pytest.raises(SoftPromptError, match="'strange' follows no known anatomy.*register_anatomy"):
        attach(backbone, tokenizer(), METHODS[0])


@pytest.mark.usefixtures("_strange_is_known")
def test_a_family_registered_from_outside() -> None:
    with attached(model("llama", seed=4), METHODS[0]) as prompted, torch.no_grad():
        expected = prompted(input_ids=ids(5)).logits
    with attached(Strange(), METHODS[0]) as prompted, torch.no_grad():
        close(prompted(input_ids=ids(5)).logits, expected, 1e-6)


@pytest.fixture
def _nothing_stays_registered() -> Iterator[None]:
    known = dict(anatomy._READERS.known)
    yield
    anatomy._READERS.known.clear()
    anatomy._READERS.known.update(known)


@pytest.mark.usefixtures("_nothing_stays_registered")
@pytest.mark.parametrize("part", ["model", "model.decoder", ""])
def test_a_reader_may_ask_about_a_part_of_its_own_family(part: str) -> None:
    """A part has the configuration of the whole, so that the reader would be asked again and again."""
    sizes = {"hidden_size": HIDDEN, "ffn_dim": 37, "num_attention_heads": 4, "word_embed_proj_dim": HIDDEN}
    backbone = AutoModelForCausalLM.from_config(OPTConfig(vocab_size=VOCABULARY, num_hidden_layers=2, **sizes))
    usual = read_anatomy(backbone)
    register_anatomy("opt", lambda found: dataclasses.replace(read_anatomy(found.get_submodule(part)), max_positions=7))
    assert read_anatomy(backbone) == dataclasses.replace(usual, max_positions=7)


class Wrapped(PretrainedConfig):
    """Of a model that holds a language model of another family."""

    model_type = "wrapped"

    def get_text_config(self, *given: Any, **more: Any) -> LlamaConfig:
        config: LlamaConfig = model("llama", seed=4).config
        return config


@pytest.mark.usefixtures("_nothing_stays_registered")
def test_a_model_that_wraps_a_language_model_is_of_a_family_of_its_own() -> None:
    backbone, llama = Strange(), model("llama", seed=4)
    backbone.config = Wrapped()
    usual = read_anatomy(llama)
    register_anatomy("wrapped", lambda found: dataclasses.replace(read_anatomy(found.inside), max_positions=7))
    assert read_anatomy(backbone) == dataclasses.replace(usual, max_positions=7)
    assert read_anatomy(llama) == usual


def test_a_module_that_is_no_model() -> None:
    with pytest.raises(SoftPromptError, match="Linear has no `config`"):
        attach(nn.Linear(2, 2), tokenizer(), METHODS[0])


def test_a_second_look_up_that_cannot_be_shown_other_ids() -> None:
    """Where it stands in a module that hands them to the input embedding, too."""
    part = read_anatomy(model("llama"))
    part = dataclasses.replace(part, lookups=(part.body,))
    part.require_site("attention")
    for site in ("stream", "hidden"):
        with pytest.raises(SoftPromptError, match=f"'llama' cannot serve the site '{site}': it looks ids up outside"):
            part.require_site(site)
