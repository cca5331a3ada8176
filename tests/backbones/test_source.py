"""A backbone's name: what the hub holds under it is looked at before it is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub.errors import EntryNotFoundError
from safetensors.torch import load_file

from softprompt.backbones import source as sources
from softprompt.backbones.checkpoint import check_checkpoint
from softprompt.backbones.source import BackboneSource, is_local, name_alone
from softprompt.errors import SoftPromptError

from ..shared.checkpoints import edit


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


def test_a_name_alone_says_nothing_of_a_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    cached = "/home/me/.cache/huggingface/hub/models--org--a-model/snapshots/0123abcd"
    for given, name in {
        str(tmp_path / "mine"): "mine",
        "./mine": "mine",
        "mine": "mine",
        "~/models/tiny.gguf": "tiny.gguf",
        cached: "org/a-model",
        f"adapter:{tmp_path / 'mine'}": "adapter:mine",
        "org/model": "org/model",
        "embedded:gemma3-270m": "embedded:gemma3-270m",
    }.items():
        assert name_alone(given) == name
        assert is_local(given) == (name != given or given == "mine")
