"""PEFT's LoRA and IA3 answer here as they do there, whatever modules they name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file

import softprompt as sp
from softprompt.errors import SoftPromptError

from ..shared.models import model, tokenizer
from ..shared.peft_checkpoints import checkpoint, head_from, logits

LORA: dict[str, Any] = {"r": 3, "lora_alpha": 5}
SERVED = {
    "defaults": ("llama", "lm", lambda: peft.LoraConfig(task_type="CAUSAL_LM", **LORA)),
    "all of them": ("qwen3", "lm", lambda: peft.LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", **LORA)),
    "one layer": ("gpt2", "lm", lambda: peft.LoraConfig(task_type="CAUSAL_LM", layers_to_transform=[1], **LORA)),
    "by the root of r": ("llama", "lm", lambda: peft.LoraConfig(task_type="CAUSAL_LM", use_rslora=True, **LORA)),
    "both stacks": ("t5", "lm", lambda: peft.LoraConfig(task_type="SEQ_2_SEQ_LM", **LORA)),
    "no task": ("bert", "lm", lambda: peft.LoraConfig(**LORA)),
    "a head": ("bert", "sequence", lambda: peft.LoraConfig(task_type="SEQ_CLS", **LORA)),
    "its queries": ("gemma3", "lm", lambda: peft.IA3Config(task_type="CAUSAL_LM", **IA3)),
    "ia3": ("llama", "lm", lambda: peft.IA3Config(task_type="CAUSAL_LM")),
    "ia3 and a head": ("bert", "token", lambda: peft.IA3Config(task_type="TOKEN_CLS")),
}
IA3: dict[str, Any] = {"target_modules": ["q_proj", "v_proj", "down_proj"], "feedforward_modules": ["down_proj"]}


@pytest.mark.parametrize("case", SERVED)
def test_an_adapter_of_pefts_answers_as_it_does_there(case: str, tmp_path: Path) -> None:
    family, head, config = SERVED[case]
    theirs = checkpoint(tmp_path, model(family, head), config())
    backbone = head_from(tmp_path, model(family, head), "base_model.model.")
    prompt = sp.load(tmp_path, backbone, tokenizer())
    assert prompt.method.name == theirs.active_peft_config.peft_type.lower()
    with prompt.attach() as prompted:
        found = logits(prompted, family)
    torch.testing.assert_close(found, logits(theirs, family), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(found, logits(backbone, family), atol=1e-3)
    again = sp.load(sp.save(prompt, tmp_path / "ours"), backbone, tokenizer())
    assert again.method == prompt.method


def test_names_are_short_where_they_mean_the_same(tmp_path: Path) -> None:
    checkpoint(tmp_path / "a", model("llama"), SERVED["defaults"][2]())
    checkpoint(tmp_path / "b", model("gpt2"), SERVED["one layer"][2]())
    one, other = sp.load(tmp_path / "a", model("llama"), tokenizer()), sp.load(tmp_path / "b", model("gpt2"), None)
    assert one.method == sp.LoRA(rank=3, alpha=5, target_modules=("q_proj", "v_proj"))
    assert other.method == sp.LoRA(rank=3, alpha=5, target_modules=("h.1.attn.c_attn",))


def _edited(**values: Any) -> Callable[[Path], None]:
    def harm(folder: Path) -> None:
        path = folder / "adapter_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return harm


def _renamed(old: str, new: str) -> Callable[[Path], None]:
    def harm(folder: Path) -> None:
        path = folder / "adapter_model.safetensors"
        save_file({name.replace(old, new): one for name, one in load_file(path).items()}, path)

    return harm


def _more(name: str) -> Callable[[Path], None]:
    def harm(folder: Path) -> None:
        path = folder / "adapter_model.safetensors"
        save_file({**load_file(path), name: torch.ones(2)}, path)

    return harm


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (_edited(use_dora=True), "use_dora: makes something of a LORA that no method here does"),
        (_edited(rank_pattern={"q_proj": 5}), "rank_pattern: makes"),
        (_edited(init_lora_weights="pissa_niter_4"), "init_lora_weights: makes"),
        (_edited(r=0), "r: Input should be greater than or equal to 1"),
        (_edited(r=4), "a LORA for another backbone"),
        (_renamed(".q_proj.", ".z_proj."), "'model.layers.0.self_attn.z_proj', which is no linear module of a layer"),
        (_renamed("base_model.model.", "base."), "adapts nothing of this backbone"),
        (_renamed("0.self_attn.q_proj.lora_A", "0.self_attn.q_proj.lora_C"), "lora_A.wei... is missing"),
        (_more("lora_magnitude_vector"), "'lora_magnitude_vector' is none of a LORA's"),
    ],
)
def test_what_is_no_lora_of_ours_is_refused_in_one_line(
    harm: Callable[[Path], None], told: str, tmp_path: Path
) -> None:
    checkpoint(tmp_path, model("llama"), SERVED["defaults"][2]())
    harm(tmp_path)
    with pytest.raises(SoftPromptError) as error:
        sp.load(tmp_path, model("llama"), tokenizer())
    assert told in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_another_head_is_refused(tmp_path: Path) -> None:
    checkpoint(tmp_path, model("bert", "sequence"), SERVED["a head"][2]())
    with pytest.raises(SoftPromptError, match="holds 'classifier"):
        sp.load(tmp_path, model("bert", "sequence"), tokenizer())
