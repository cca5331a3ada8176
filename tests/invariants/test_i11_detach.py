"""I11: detaching gives the model back bit for bit."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from transformers import CLIPVisionConfig, LlavaConfig, LlavaForConditionalGeneration, PreTrainedConfig

from softprompt.attached.attach import attach
from softprompt.errors import SoftPromptError

from ..attacks.attaching import state
from ..shared.models import fresh, ids, model, padded, tokenizer
from ..shared.prompts import attached, every_family, every_method, loss_of, producer, tiny


def use(prompted: Any) -> None:
    """Train a step through checkpoints, evaluate, generate."""
    if prompted.anatomy.family != "albert":  # transformers has no checkpoints for it
        prompted.activation_checkpointing_enable()
    prompted.train()
    trained = [p for p in prompted.parameters() if p.requires_grad]
    if trained:
        loss_of(prompted, ids(5), use_cache=False).backward()
        torch.optim.SGD(trained, lr=0.1).step()
    prompted.eval()
    if prompted.anatomy.kind != "encoder":
        batch, mask = padded([ids(5), ids(3)], "left")
        prompted.generate(batch, attention_mask=mask, max_new_tokens=3, repetition_penalty=1.2, do_sample=False)


@every_family
@every_method
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_all_is_as_it_was(family: str, method: str, attention: str) -> None:
    backbone = model(family, attention=attention)
    before = state(backbone)
    text = {"input_ids": ids(6)}
    if backbone.config.is_encoder_decoder:
        text["decoder_input_ids"] = ids(3)
    logits = backbone(**text).logits
    with attached(backbone, method) as prompted:
        use(prompted)
    assert state(backbone) == before
    assert torch.equal(backbone(**text).logits, logits)


@every_family
def test_all_is_as_it_was_after_an_exception(family: str) -> None:
    backbone = model(family)
    before = state(backbone)
    prompted = attach(backbone, tokenizer(), producer(backbone, "p_tuning_v2"))
    prompted.train()
    with pytest.raises(KeyError), prompted:
        raise KeyError
    assert state(backbone) == before
    with attached(backbone, "capt") as prompted:
        with pytest.raises(SoftPromptError, match="attention_mask"):
            prompted(input_ids=ids(5), attention_mask="none")
        prompted(
            **{"input_ids": ids(5)} | ({"decoder_input_ids": ids(2)} if backbone.config.is_encoder_decoder else {})
        )
    assert state(backbone) == before


def test_all_is_as_it_was_where_attaching_fails() -> None:
    backbone = model("bert")
    before = state(backbone)
    made = {"good": producer(backbone, "p_tuning_v2"), "long": producer(backbone, "prompt_tuning")}
    made["long"].count = 64
    with pytest.raises(SoftPromptError, match="'long' takes 64 positions"):
        attach(backbone, tokenizer(), made)
    assert state(backbone) == before


def test_flags_of_a_users_own_are_kept() -> None:
    backbone = fresh("llama")
    backbone.lm_head.weight.requires_grad_(False)
    backbone.train()
    backbone.model.layers[1].eval()
    backbone.activation_checkpointing_enable()
    before = state(backbone)
    functions = [layer._gradient_checkpointing_func for layer in backbone.model.layers]
    with attached(backbone, "deep_prompt") as prompted:
        use(prompted)
        prompted.backbone.activation_checkpointing_disable()
    assert state(backbone) == before
    assert [layer._gradient_checkpointing_func for layer in backbone.model.layers] == functions


def test_a_detached_prompt_does_not_answer_for_the_model() -> None:
    backbone = model("llama")
    with tiny("llama", "prompt_tuning") as prompted:
        pass
    for use_it in (
        lambda: prompted(input_ids=ids(4)),
        lambda: prompted.generate(ids(4)),
        lambda: prompted.states(input_ids=ids(4)),
    ):
        with pytest.raises(SoftPromptError, match="detached"):
            use_it()
    with attached(backbone, "capt") as other:
        prompted.detach()  # a second time: the other prompt stays
        assert not any(parameter.requires_grad for parameter in backbone.parameters())
        other(input_ids=ids(4))


def _configured(model: Any) -> dict[int, dict[str, Any]]:
    """All that the configurations of a model and their parts hold, private values too."""
    found: dict[int, dict[str, Any]] = {}
    waiting = [getattr(part, "config", None) for part in model.modules()]
    while waiting:
        one = waiting.pop()
        if isinstance(one, PreTrainedConfig) and id(one) not in found:
            found[id(one)] = dict(vars(one))
            waiting.extend(vars(one).values())
    return found


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_a_model_whose_parts_attend_in_different_ways_keeps_them(order: tuple[int, ...]) -> None:
    """Whatever the order in which attached models go, and where one more cannot be attached."""
    vision = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 1, "num_attention_heads": 4}
    sizes = {"image_size": 8, "patch_size": 4, "projection_dim": 16}
    text = model("llama").config
    config = LlavaConfig(text_config=copy.deepcopy(text), vision_config=CLIPVisionConfig(**vision, **sizes))
    backbone = LlavaForConditionalGeneration(config).eval()
    for part in (backbone.config, backbone.config.vision_config):
        part._attn_implementation_internal = "eager"  # the setter would tell the parts, too
    before, flags = _configured(backbone), state(backbone)
    names = {one.get("_attn_implementation_internal") for one in before.values()}
    assert {"sdpa", "eager"} <= names
    made = ["p_tuning_v2", "prompt_tuning", "p_tuning_v2"]
    held = [attach(backbone, tokenizer(), producer(backbone, name)) for name in made]
    long = {"good": producer(backbone, "p_tuning_v2"), "long": producer(backbone, "prompt_tuning")}
    long["long"].count = 64
    with pytest.raises(SoftPromptError, match="'long' takes 64 positions"):
        attach(backbone, tokenizer(), long)
    for index in order:
        held[index](input_ids=ids(5))
        held[index].detach()
    assert _configured(backbone) == before
    assert state(backbone) == flags
