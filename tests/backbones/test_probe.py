"""What a body does is tried, not read off names: kind, first position and padding of families whose names mislead."""

from __future__ import annotations

import copy
import functools
import gc
import random
import threading
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    UMT5Config,
    UMT5EncoderModel,
)

from softprompt.attached.attach import attach
from softprompt.backbones import probe
from softprompt.backbones.anatomy import read_anatomy
from softprompt.errors import SoftPromptError
from softprompt.methods import CaPT, PromptTuning

from ..attacks import families
from ..shared.models import HEADS, HIDDEN, POSITIONS, VOCABULARY, ids, model, tokenizer

SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": HIDDEN,
    "num_hidden_layers": 2,
    "num_attention_heads": HEADS,
    "intermediate_size": 37,
    "max_position_embeddings": POSITIONS,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
DEBERTA = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "max_relative_positions": 16}
OWN: dict[str, dict[str, Any]] = {
    "deberta": DEBERTA,
    "deberta-v2": DEBERTA,
    "longformer": {"attention_window": 8},
    "big_bird": {"block_size": 2, "num_random_blocks": 1},
    "luke": {"entity_vocab_size": 8, "entity_emb_size": 8},
    "esm": {"token_dropout": True, "mask_token_id": 3},
    "nystromformer": {"segment_means_seq_len": 16, "num_landmarks": 16},
    "convbert": {"embedding_size": HIDDEN},
    "m2m_100": {"d_model": HIDDEN, "encoder_layers": 2, "decoder_layers": 1, "encoder_ffn_dim": 37},
    "led": {"d_model": HIDDEN, "encoder_layers": 1, "decoder_layers": 1, "attention_window": 8, "encoder_ffn_dim": 37},
    "opt": {"ffn_dim": 37, "word_embed_proj_dim": HIDDEN},
    "gpt_neo": {"num_layers": 2, "num_heads": HEADS, "attention_types": [[["global", "local"], 1]], "window_size": 8},
}
# family: position id of the first token, and how many tokens there are positions for
ENCODERS = {
    "deberta": (0, POSITIONS),
    "deberta-v2": (0, POSITIONS),
    "mpnet": (2, POSITIONS - 2),
    "longformer": (1, POSITIONS - 1),
    "big_bird": (0, POSITIONS),
    "luke": (1, POSITIONS - 1),
    "esm": (1, POSITIONS - 1),
    "xlm-roberta": (1, POSITIONS - 1),
    "convbert": (0, POSITIONS),
    "nystromformer": (2, POSITIONS),
}
DECODERS = {"opt": (0, POSITIONS), "gpt_neo": (0, POSITIONS)}
# Their convolutions read padding, with a prompt or without.
READ_PADDING = ("convbert", "nystromformer")


@functools.cache
def tiny(family: str, auto: Any = AutoModel) -> Any:
    """A tiny model whose every weight matters."""
    config = AutoConfig.for_model(family, **{**SIZES, **OWN.get(family, {})})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = auto.from_config(config)
        with torch.no_grad():
            for parameter in made.parameters():
                if parameter.ndim > 1:
                    parameter.normal_(0.0, 0.25)
    return made.eval()


@pytest.mark.parametrize("family", [*ENCODERS, *DECODERS])
def test_kind_and_positions_are_what_the_model_does(family: str) -> None:
    part = read_anatomy(tiny(family))
    assert part.kind == ("encoder" if family in ENCODERS else "causal")
    assert part.kind == ("encoder" if families.sees_later_tokens(tiny(family)) else "causal")
    assert families.first_position(part) == {part.position_offset}
    assert (part.position_offset, part.max_positions) == {**ENCODERS, **DECODERS}[family]
    assert part.absolute


@pytest.mark.parametrize("auto", [AutoModel, AutoModelForSequenceClassification], ids=["body", "classification"])
@pytest.mark.parametrize("family", [*(f for f in ENCODERS if f not in READ_PADDING), *DECODERS])
def test_padding_and_a_batch_change_nothing(family: str, auto: Any) -> None:
    # Longformer's head looks at the first column from everywhere, be it padding.
    sides = families.SIDES if (family, auto) != ("longformer", AutoModelForSequenceClassification) else ("right",)
    prompts = {"one": PromptTuning(num_virtual_tokens=3), "other": PromptTuning(num_virtual_tokens=5)}
    with attach(tiny(family, auto), tokenizer(), prompts["one"]) as prompted:
        assert max(families.beside_itself(prompted, side) for side in sides) < 1e-4
        batch = prompted.encode(["w5 w6 w7 w8 w9 w10", "w11 w12"])
        row, alone = families.run(prompted, **batch)[1], families.run(prompted, **prompted.encode("w11 w12"))[0]
        own = row[batch["attention_mask"][1].bool()] if auto is AutoModel else row
        assert families.apart(own, alone) < 1e-4
    with attach(tiny(family, auto), tokenizer(), prompts) as prompted:
        assert max(families.beside_itself(prompted, side, families.MIXED) for side in sides) < 1e-4


@pytest.mark.skipif(not families.BUILDER.is_file(), reason="needs shared/cases/sweep")
@pytest.mark.parametrize(
    ("kind", "family"), [("seqcls", "luke"), ("token", "gpt_neo"), ("causal, no is_decoder", "bert")]
)
def test_the_attack_finds_nothing_wrong(kind: str, family: str) -> None:
    found = [name for name, _ in families.look(kind, family)]
    right = ["built", "attached", "kinds right", "first positions right", *["padded batches equal"] * 2]
    assert found == right


def test_filler_counts_for_no_position_where_ids_are_counted() -> None:
    backbone = tiny("m2m_100")  # it takes no position ids, and no padding id for a token
    with attach(
        backbone, tokenizer(), {name: PromptTuning(num_virtual_tokens=n) for name, n in (("one", 3), ("other", 5))}
    ) as prompted:
        assert max(families.beside_itself(prompted, side, families.MIXED) for side in families.SIDES) < 1e-4


def test_names_and_flags_that_mislead() -> None:
    def kind(auto: Any, family: str, **flags: Any) -> str:
        config = copy.deepcopy(tiny(family, AutoModel).config)
        for name, value in flags.items():
            setattr(config, name, value)
        return read_anatomy(auto.from_config(config).eval()).kind

    assert kind(AutoModel, "deberta-v2", is_decoder=True) == "encoder"  # it ignores the flag
    assert kind(AutoModel, "mpnet", architectures=["MPNetForCausalLM"]) == "encoder"
    assert kind(AutoModel, "bert", is_decoder=True) == "causal"
    assert kind(AutoModelForCausalLM, "bert", is_decoder=False) == "encoder"
    assert kind(AutoModel, "llama", architectures=["LlamaForMaskedLM"]) == "causal"
    assert kind(AutoModel, "llama", is_causal=False) == "encoder"  # embedding models made of decoders
    assert kind(AutoModel, "gemma3_text", use_bidirectional_attention=True) == "encoder"
    sizes = {"vocab_size": VOCABULARY, "d_model": HIDDEN, "d_kv": 8, "d_ff": 37, "num_layers": 1, "num_heads": HEADS}
    assert (
        read_anatomy(UMT5EncoderModel(UMT5Config(**sizes))).kind == "encoder"
    )  # its configuration says it has two sides


def test_one_side_of_two_is_what_it_is_by_itself() -> None:
    for family in ("t5", "bart"):
        assert read_anatomy(model(family).get_encoder()).kind == "encoder"
        assert read_anatomy(model(family).get_decoder()).kind == "causal"


@pytest.mark.parametrize("family", ["led", "roformer"])
def test_columns_are_positions_where_nobody_can_tell_others(family: str) -> None:
    """So virtual tokens take some, whatever the method says, and keys and values none."""
    with attach(tiny(family), tokenizer(), {"words": PromptTuning(num_virtual_tokens=3), "one": CaPT()}) as prompted:
        assert prompted.anatomy.counts_columns
        assert [(slots.shift, slots.prefix) for slots in prompted.slots] == [(True, 0)] * 2


REFUSED = {
    ("gte", AutoModelForSequenceClassification): "pools its states where virtual tokens still stand",
}


@pytest.mark.parametrize(("family", "auto"), REFUSED)
def test_what_cannot_be_right_is_refused(family: str, auto: Any) -> None:
    with pytest.raises(SoftPromptError, match=f"'{family}'.*{REFUSED[family, auto]}"):
        attach(tiny(family, auto), tokenizer(), PromptTuning(num_virtual_tokens=3))


def test_attention_that_padding_turns_round_is_refused() -> None:
    backbone = copy.deepcopy(model("llama"))
    for module in backbone.modules():
        if hasattr(module, "is_causal"):
            module.is_causal = False  # the masks of padded rows stay causal
    with pytest.raises(SoftPromptError, match="in a row with padding or in one without.*register_anatomy"):
        read_anatomy(backbone)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("family", "kind"), [("deberta-v2", "encoder"), ("gpt_neo", "causal")])
def test_half_precision_shows_it_as_well(family: str, kind: str, dtype: torch.dtype) -> None:
    assert read_anatomy(copy.deepcopy(tiny(family)).to(dtype)).kind == kind


def test_what_cannot_be_tried_is_known_by_its_structure_or_refused() -> None:
    with torch.device("meta"):
        weightless = {name: AutoModel.from_config(tiny(name).config) for name in ("llama", "deberta-v2", "xlm-roberta")}
    assert read_anatomy(weightless["llama"]).kind == "causal"
    with pytest.raises(SoftPromptError, match="'deberta-v2': whether its tokens see later ones cannot be told"):
        read_anatomy(weightless["deberta-v2"])
    # Shapes alone are enough to count scalars; nothing can be attached to them, so no position can be wrong.
    assert read_anatomy(weightless["xlm-roberta"]).kind == "encoder"
    with pytest.raises(SoftPromptError, match="not in memory"):
        attach(weightless["xlm-roberta"], None, PromptTuning())


def test_weights_of_zero() -> None:
    backbones = {name: copy.deepcopy(tiny(name)) for name in ("xlm-roberta", "deberta-v2")}
    for backbone in backbones.values():
        for parameter in backbone.parameters():
            nn.init.zeros_(parameter)
    part = read_anatomy(backbones["xlm-roberta"])
    assert (part.kind, part.position_offset) == ("encoder", 1)
    with pytest.raises(SoftPromptError, match="its weights let no token move another"):
        read_anatomy(backbones["deberta-v2"])


def test_the_body_is_left_as_it_was(recwarn: pytest.WarningsRecorder) -> None:
    config = copy.deepcopy(tiny("big_bird").config)  # short rows make it exchange its attentions, for good
    backbone = AutoModel.from_config(config).train()
    backbone.encoder.layer[0].eval()

    def state() -> list[Any]:
        modules = [(id(m), m.training, len(m._forward_hooks), len(m._forward_pre_hooks)) for m in backbone.modules()]
        weights = [(id(p), p.requires_grad, p.grad, p._version) for p in (*backbone.parameters(), *backbone.buffers())]
        return [modules, weights, backbone.attention_type, str(backbone.config), torch.is_grad_enabled()]

    def drawn() -> list[Any]:
        return [torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()]  # type: ignore[index]

    before, randoms = state(), drawn()
    assert read_anatomy(backbone).kind == "encoder"
    assert state() == before
    assert drawn() == randoms
    assert not recwarn.list


def test_a_body_is_tried_once() -> None:
    backbone = copy.deepcopy(tiny("mpnet"))
    calls = 0
    forward = backbone.forward

    @functools.wraps(forward)
    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        return forward(*args, **kwargs)

    backbone.forward = counted
    first = read_anatomy(backbone)
    tried = calls
    assert 0 < tried < 12
    assert all(read_anatomy(backbone) == first for _ in range(5))
    assert calls == tried
    backbone.config.is_decoder = True  # another configuration may be another kind
    read_anatomy(backbone)
    assert calls > tried


def test_what_was_found_goes_with_the_body() -> None:
    backbone = copy.deepcopy(tiny("mpnet"))
    read_anatomy(backbone)
    known = len(probe._FOUND.kept)
    del backbone
    gc.collect()
    assert len(probe._FOUND.kept) < known


def test_a_model_that_runs_in_another_thread_is_not_stopped() -> None:
    backbone = copy.deepcopy(model("bert"))
    with torch.no_grad():
        expected = backbone(input_ids=ids(9)).logits
    wrong, done = [], threading.Event()

    def keep_running() -> None:
        while not done.is_set():
            with torch.no_grad():
                if not torch.equal(backbone(input_ids=ids(9)).logits, expected):
                    wrong.append("other logits")

    thread = threading.Thread(target=keep_running)
    thread.start()
    for use_cache in [True, False] * 5:
        backbone.config.use_cache = use_cache  # so that it is tried again
        assert read_anatomy(backbone).kind == "encoder"
    done.set()
    thread.join()
    assert not wrong
