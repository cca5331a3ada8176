"""What a checkpoint asks for: no pickle, no code, no adapter unasked, no memory that its files do not fill."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub.errors import EntryNotFoundError
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM

from softprompt.backbones import load as loading
from softprompt.backbones import source as sources
from softprompt.backbones.checkpoint import check_checkpoint
from softprompt.backbones.load import load_backbone
from softprompt.backbones.source import BackboneSource
from softprompt.errors import SoftPromptError

from ..attacks.backbones import attack
from ..shared.checkpoints import IDS, LLAMA, WORDS, save, with_adapter


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    return save(tmp_path_factory.mktemp("backbones") / "whole", LlamaForCausalLM(LLAMA))


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "model"))


def load(name: Any) -> Any:
    return load_backbone(name, device="cpu", dtype="float32")[0]


def edit(file: Path, **changes: Any) -> None:
    found = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps({**found, **changes}))


def refusal(name: Any) -> str:
    with pytest.raises(SoftPromptError) as error:
        load(name)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


def test_nothing_planted_is_run_and_a_part_of_the_damage() -> None:
    """`benchmarks/reliability.py --only backbones` tries every damage."""
    found = attack(lambda count: None, every=67, flips=20, most=60)
    assert found.keys() == {"refused in one line", "loaded"}
    assert found["refused in one line"] > 30


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"num_hidden_layers": 10**6},
            "asks for 1,000,000 num_hidden_layers, and its 21 weights fill fewer",
        ),
        ({"num_experts": 5000}, "asks for 5,000 num_experts"),
        ({"hidden_size": 10**6, "intermediate_size": 10**6}, "config.json describes .* weights, and the files hold"),
        ({"vocab_size": 10**9}, "config.json describes .* weights, and the files hold"),
        ({"attn_implementation": "org/evil"}, "asks for code of the hub"),
    ],
)
def test_sizes_are_weighed_before_they_are_made(changes: dict[str, Any], told: str, folder: Path) -> None:
    edit(folder / "config.json", **changes)
    with pytest.raises(SoftPromptError, match=told):
        load(folder)


def test_shards_beside_the_config_are_read(folder: Path) -> None:
    expected = load(folder)(IDS).logits
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    place = {name: f"model-0000{1 + index % 2}-of-00002.safetensors" for index, name in enumerate(tensors)}
    for shard in set(place.values()):
        own = {name: value for name, value in tensors.items() if place[name] == shard}
        save_file(own, folder / shard, metadata={"format": "pt"})
    edit(folder / "model.safetensors.index.json", metadata={"total_size": 1}, weight_map=place)
    assert torch.equal(load(folder)(IDS).logits, expected)
    (folder / "model-00002-of-00002.safetensors").unlink()
    assert "model.safetensors.index.json names model-00002-of-00002.safetensors, which is not there" in refusal(folder)


def test_a_weight_that_is_no_number(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"][3] = float("nan")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert "its weight model.norm.weight holds NaN or infinity" in refusal(folder)


def test_an_adapter_is_applied_where_it_is_asked_for_and_never_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = load(folder)(IDS).logits
    expected = with_adapter(folder)
    assert f"name it adapter:{folder} to have it applied" in refusal(folder)
    model = load(f"adapter:{folder}")
    torch.testing.assert_close(model(IDS).logits, expected)
    assert not torch.allclose(expected, plain, atol=1e-3)
    assert type(model) is LlamaForCausalLM
    assert model.state_dict().keys() == LlamaForCausalLM(LLAMA).state_dict().keys()
    assert model.config.name_or_path == f"adapter:{folder}"
    # Were it ever looked past, transformers would still find none.
    monkeypatch.setattr(loading, "check_checkpoint", lambda source: None)
    assert torch.equal(load(folder)(IDS).logits, plain)


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda f: (f / "adapter_config.json").unlink(), r"has no adapter \(adapter_config.json is missing\)"),
        (lambda f: (f / "adapter_model.safetensors").rename(f / "adapter_model.bin"), "pickle is never loaded"),
        (lambda f: edit(f / "adapter_config.json", target_modules=["k_proj"]), "is another model's"),
        (lambda f: edit(f / "adapter_config.json", target_modules=["zork"]), "cannot be read"),
        (lambda f: edit(f / "adapter_config.json", r=3), "cannot be read"),
        (lambda f: (f / "adapter_config.json").write_text("{"), "cannot be read"),
        (
            lambda f: (f / "adapter_config.json").write_text('{"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 3}'),
            "changes no weights",
        ),
    ],
)
def test_an_adapter_that_cannot_be_applied(harm: Any, told: str, folder: Path) -> None:
    with_adapter(folder)
    harm(folder)
    with pytest.raises(SoftPromptError, match=told) as error:
        load(f"adapter:{folder}")
    assert len(str(error.value).splitlines()) == 1


def test_the_hub_is_looked_at_in_the_same_way(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetched(repository: str, name: str) -> str:
        if not (folder / name).is_file():
            raise EntryNotFoundError(name)
        return str(folder / name)

    monkeypatch.setattr(sources, "hf_hub_download", fetched)
    hub = BackboneSource("org/model", "org/model")
    assert check_checkpoint(hub) == sum(value.numel() for value in load_file(folder / "model.safetensors").values())
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(SoftPromptError, match="no weights in safetensors, and pickle is never loaded.: choose another"):
        check_checkpoint(hub)
    edit(folder / "model.safetensors.index.json", metadata={}, weight_map={"x": "pytorch_model.bin"})
    with pytest.raises(SoftPromptError, match=r"org/model: .*index.json names 'pytorch_model.bin'"):
        check_checkpoint(hub)
    edit(folder / "adapter_config.json", r=2)
    with pytest.raises(SoftPromptError, match="name it adapter:org/model to have it applied"):
        check_checkpoint(hub)


def test_ids_beyond_the_embedding(folder: Path) -> None:
    whole = json.loads((folder / "tokenizer.json").read_text())
    whole["model"]["vocab"][WORDS[-1]] = 10**6
    (folder / "tokenizer.json").write_text(json.dumps(whole))
    assert "the tokenizer has the id 1,000,000, but the model embeds 8" in refusal(folder)


def test_what_stands_in_an_adapter_alone_is_told_in_one_line(tmp_path: Path) -> None:
    for text, told in (
        ('{"base_model_name_or_path": "org/\\nbase"}', "load the adapter's base model (org/ base)"),
        ('{"base_model_name_or_path": ' + "[" * 100_000, "adapter_config.json does not name it"),
    ):
        (tmp_path / "adapter_config.json").write_text(text)
        assert told in refusal(tmp_path)


def test_a_document_that_is_too_long(folder: Path) -> None:
    with (folder / "config.json").open("r+b") as file:
        file.truncate(40 << 20)
    assert "config.json has 41,943,040 bytes, at most" in refusal(folder)
