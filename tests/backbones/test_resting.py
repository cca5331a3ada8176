"""A model whose weights rest elsewhere between calls is the backbone that the whole model is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import accelerate
import pytest
import torch
from accelerate.hooks import AlignDevicesHook, add_hook_to_module
from torch import Tensor

import softprompt as sp
from softprompt.backbones.anatomy import read_anatomy
from softprompt.backbones.fingerprint import fingerprint, num_parameters
from softprompt.backbones.heads import label_rows
from softprompt.backbones.resting import device_of
from softprompt.errors import SoftPromptError

from ..shared.models import fresh, ids, tokenizer
from ..shared.own_family import own
from ..shared.prompts import FAMILIES, METHODS, producer
from ..shared.resting import MAPS, resting

# One a way of reading the model: words, states, a first pass, a head, copies of norms, keys and values of words.
WAYS = ("prompt_tuning", "deep_prompt", "idpg", "capt", "p_tuning_v2", "lora", "adapter", "bitfit", "lopa")


def asked(target: Any, family: str) -> Tensor:
    given = {"input_ids": ids(7), "attention_mask": torch.ones(1, 7, dtype=torch.long)}
    found: Tensor = target(**given, **({"decoder_input_ids": ids(4)} if family == "t5" else {})).logits
    return found


@pytest.mark.parametrize("family", MAPS)
def test_prompts_answer_and_learn_as_over_the_whole_model(family: str, tmp_path: Path) -> None:
    whole, parted = resting(family, tmp_path)
    bare = asked(whole, family)
    for method in (one for one in WAYS if family in FAMILIES[one]):
        found = []
        for target in (whole, parted):
            made = producer(target, method)
            with sp.attach(target, tokenizer(), made) as prompted:
                prompted.train()
                logits = asked(prompted, family)
                logits.logsumexp(-1).sum().backward()
            found.append([logits.detach(), *(one.grad for one in made.parameters() if one.grad is not None)])
        assert len(found[0]) == len(found[1]) > 1
        torch.testing.assert_close(found[0], found[1], atol=1e-4, rtol=1e-4)
        assert parted.get_input_embeddings().weight.is_meta
    assert torch.equal(asked(parted, family), bare)


@pytest.mark.parametrize("method", ["prompt_tuning", "p_tuning_v2", "capt"])
def test_generate(method: str, tmp_path: Path) -> None:
    found = []
    for target in resting("llama", tmp_path):
        with sp.attach(target, tokenizer(), producer(target, method)) as prompted:
            found.append(prompted.generate(ids(5), attention_mask=torch.ones(1, 5), max_new_tokens=5, do_sample=False))
    assert torch.equal(*found)


@pytest.mark.parametrize("family", MAPS)
def test_it_has_the_fingerprint_of_the_whole_model(family: str, tmp_path: Path) -> None:
    whole, parted = resting(family, tmp_path)
    assert fingerprint(parted) == fingerprint(whole)
    assert num_parameters(parted) == num_parameters(whole)
    with sp.attach(whole, tokenizer(), sp.PromptTuning(num_virtual_tokens=2)) as prompted:
        prompted.save_pretrained(tmp_path / "prompt")
    assert sp.load(tmp_path / "prompt", parted, tokenizer()).method.name == "prompt_tuning"
    assert device_of(parted) == torch.device("cpu")


@pytest.mark.parametrize("method", ["prompt_tuning", "capt"])
def test_layers_that_are_found_by_running_the_model_are_found_where_they_rest(method: str) -> None:
    whole, parted = own(), own()
    accelerate.cpu_offload(parted, execution_device="cpu")
    assert len(read_anatomy(parted).layers) == len(read_anatomy(whole).layers) == len(whole.tower.storeys)
    found = []
    for target in (whole, parted):
        with sp.attach(target, tokenizer(), producer(target, method)) as prompted, torch.no_grad():
            found.append(prompted(input_ids=ids(5)).logits)
    torch.testing.assert_close(*found)


def test_label_words_are_read_where_they_rest(tmp_path: Path) -> None:
    whole, parted = resting("gpt2", tmp_path)
    torch.testing.assert_close(label_rows(parted, [(5,), (6, 7)]), label_rows(whole, [(5,), (6, 7)]))


def test_what_trains_these_weights_is_refused(tmp_path: Path) -> None:
    _, parted = resting("llama", tmp_path)
    with pytest.raises(SoftPromptError, match="rest elsewhere"):
        sp.attach(parted, tokenizer(), METHODS["full_finetuning"])


def test_shapes_alone_are_refused_whatever_a_map_says(tmp_path: Path) -> None:
    whole = fresh("llama").to("meta")
    whole.hf_device_map = {"": "meta"}
    with pytest.raises(SoftPromptError, match="weight model.embed_tokens.weight is not in memory"):
        sp.attach(whole, tokenizer(), sp.PromptTuning())


def test_layers_on_several_devices_are_refused_before_anything_runs() -> None:
    model = fresh("llama")
    layer = model.model.layers[1].self_attn.q_proj
    add_hook_to_module(layer, AlignDevicesHook(execution_device="meta", offload=True))
    with pytest.raises(SoftPromptError, match=r"several devices \(cpu, meta\)"):
        sp.attach(model, tokenizer(), sp.PromptTuning(init="random_uniform"))


def test_a_sharded_model_is_attached_to_before_it_is_sharded(tmp_path: Path) -> None:
    """In a process of its own, for torch keeps one group of ranks a process."""
    code = f"""
import torch, torch.distributed as ranks
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
import softprompt as sp
from tests.shared.models import fresh, ids, tokenizer

ranks.init_process_group("gloo", init_method="file://{tmp_path}/ranks", rank=0, world_size=1)
whole, model = fresh("llama"), fresh("llama")
with sp.attach(whole, tokenizer(), sp.CaPT(), seed=1) as prompted:
    expected = prompted(input_ids=ids(5)).logits
prompted = sp.attach(model, tokenizer(), sp.CaPT(), seed=1)
mesh = init_device_mesh("cpu", (1,))
for part in (*model.model.layers, model):
    fully_shard(part, mesh=mesh)
found = prompted.train()(input_ids=ids(5)).logits
found.sum().backward()
assert torch.equal(found, expected) and all(one.grad is not None for one in prompted.prompts.parameters())
refusals = (lambda: sp.attach(model, tokenizer(), sp.CaPT()), lambda: prompted.save_pretrained("{tmp_path}/prompt"))
for refused in refusals:
    try:
        refused()
    except sp.SoftPromptError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    told = done.stdout.splitlines()
    assert len(told) == 2, done.stderr
    assert "sharded already (fully_shard): attach to it first" in told[0]
    assert "is sharded over ranks: gather the model's weights first" in told[1]
