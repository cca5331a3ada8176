"""A model that PEFT wraps is a backbone like any other: what the adapters make of it is what is prompted."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from torch import nn

import softprompt as sp
from softprompt.backbones.backbone import Backbone
from softprompt.backbones.wrapped import unwrapped
from softprompt.errors import SoftPromptError

from ..shared.adapted import TARGETS, lora, merged, wrapped
from ..shared.models import BOS, CLASSES, ids, model, tokenizer
from ..shared.prompts import FAMILIES, METHODS, producer


def answer(target: Any, family: str) -> Any:
    """Logits, of an attached model or a bare one."""
    given = {"input_ids": ids(7), **({"decoder_input_ids": ids(4)} if family == "t5" else {})}
    return target(**given, attention_mask=torch.ones(1, 7)).logits


@pytest.mark.parametrize("family", TARGETS)
def test_every_method_over_an_adapter_is_as_over_the_weights_that_it_makes(family: str) -> None:
    over = lora(family)
    plain, bare = merged(over), answer(over, family)
    for method in ("prompt_tuning", "p_tuning_v2", "capt", "deep_prompt", "spt", "lora", "full_finetuning"):
        assert family in FAMILIES[method]
        with sp.attach(plain, tokenizer(), producer(plain, method)) as prompted, torch.no_grad():
            expected = answer(prompted, family)
        with sp.attach(over, tokenizer(), producer(over, method)) as prompted, torch.no_grad():
            torch.testing.assert_close(answer(prompted, family), expected, atol=1e-4, rtol=1e-4)
        assert torch.equal(answer(over, family), bare)


@pytest.mark.parametrize("task", ["CAUSAL_LM", None])
def test_only_the_prompt_trains_and_the_adapter_is_as_it_was(task: str | None) -> None:
    over = lora(task=task)
    flags = [parameter.requires_grad for parameter in over.parameters()]
    with sp.attach(over, tokenizer(), METHODS["prompt_tuning"]) as prompted:
        prompted.train()
        assert [name for name, one in prompted.named_parameters() if one.requires_grad] == ["prompts.0.table"]
        with over.disable_adapter():  # which leaves the adapter trainable when it ends
            prompted(input_ids=ids(5))
        prompted(input_ids=ids(5), labels=ids(5)).loss.backward()
        assert all(parameter.grad is None for parameter in over.parameters())
        assert prompted.prompts[0].table.grad.any()
    assert [parameter.requires_grad for parameter in over.parameters()] == flags


def test_generate_goes_through_the_adapter() -> None:
    over = lora(task="CAUSAL_LM")
    plain, given = merged(over), {"max_new_tokens": 6, "do_sample": False, "attention_mask": torch.ones(1, 5)}
    with sp.attach(over, tokenizer(), producer(over, "capt")) as prompted:
        found = prompted.generate(ids(5), **given)
    with sp.attach(plain, tokenizer(), producer(plain, "capt")) as prompted:
        assert torch.equal(prompted.generate(ids(5), **given), found)
    assert not torch.equal(over.generate(input_ids=ids(5), **given), found)


def test_a_prompt_follows_the_adapter_that_is_active() -> None:
    over = lora(names=("first", "second"))
    with sp.attach(over, tokenizer(), producer(over, "prompt_tuning")) as prompted, torch.no_grad():
        first = prompted(input_ids=ids(5)).logits
        over.set_adapter("second")
        assert not torch.allclose(prompted(input_ids=ids(5)).logits, first)
        over.set_adapter("first")
        assert torch.equal(prompted(input_ids=ids(5)).logits, first)


def test_a_prompt_is_loaded_over_the_adapter_that_it_was_saved_over(tmp_path: Path) -> None:
    over = lora(names=("first", "second"))
    with sp.attach(over, tokenizer(), sp.PromptTuning(num_virtual_tokens=3)) as prompted:
        prompted.save_pretrained(tmp_path / "prompt")
    prompt = sp.load(tmp_path / "prompt", over, tokenizer())
    assert sp.load(tmp_path / "prompt", merged(over), tokenizer()).fingerprint == prompt.fingerprint
    over.set_adapter("second")
    with pytest.raises(SoftPromptError, match="made for another backbone"):
        sp.load(tmp_path / "prompt", over, tokenizer())
    with over.disable_adapter(), pytest.raises(SoftPromptError, match="made for another backbone"):
        sp.load(tmp_path / "prompt", over, tokenizer())


def test_a_classifier_that_peft_wraps() -> None:
    config = peft.LoraConfig(task_type="SEQ_CLS", target_modules=["query"], init_lora_weights=False)
    over = wrapped(copy.deepcopy(model("bert", "sequence")), config)
    with sp.attach(over, tokenizer(), producer(over, "p_tuning_v2")) as prompted:
        assert prompted(input_ids=ids(5)).logits.shape == (1, CLASSES)


@pytest.mark.parametrize(
    "config",
    [
        peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4),
        peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4),
        peft.PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=4),
    ],
    ids=lambda config: config.peft_type.value,
)
def test_a_prompt_of_pefts_own_is_named(config: Any) -> None:
    over = wrapped(lora().unload(), config)
    told = rf"carries a prompt of PEFT's already \({config.peft_type.value}\).*get_base_model"
    with pytest.raises(SoftPromptError, match=told):
        sp.attach(over, tokenizer(), sp.PromptTuning())
    assert sp.attach(over.get_base_model(), tokenizer(), sp.PromptTuning()).detach() is over.get_base_model()


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (peft.PolyConfig(task_type="CAUSAL_LM", target_modules=["q_proj"]), "POLY"),
        (peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"], alora_invocation_tokens=[5]), "invocation"),
    ],
)
def test_an_adapter_that_reads_the_call_is_refused(config: Any, told: str) -> None:
    over = wrapped(lora().unload(), config)
    with pytest.raises(SoftPromptError, match=f"{told}.*makes something of each call"):
        sp.attach(over, tokenizer(), sp.PromptTuning())


def test_adapters_by_row_are_refused() -> None:
    over = lora(names=("first", "second"))
    for method in ("prompt_tuning", "p_tuning_v2"):
        with sp.attach(over, tokenizer(), METHODS[method]) as prompted:
            for call in (prompted, prompted.generate):
                with pytest.raises(SoftPromptError, match="adapter_names"):
                    call(input_ids=torch.tensor([[BOS, 9]]), adapter_names=["first"])


def test_wrappers_of_several_devices_name_what_they_hold() -> None:
    with pytest.raises(SoftPromptError, match=r"DataParallel wraps.*LlamaForCausalLM.*model.module"):
        Backbone(nn.DataParallel(model("llama")), None)


def test_other_models_are_as_they_are() -> None:
    own = model("llama")
    assert unwrapped(own) is own
    tuner = lora().base_model
    assert unwrapped(tuner) is tuner.model
