"""A prompt goes to a hub and comes back; the backbone does not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard

import softprompt as sp

from ..shared import commands, runs
from ..shared.hub import Hub, local_hub
from ..shared.models import model, tokenizer

TEXTS = ["w20 w41", "w30 w50", "w90"]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    with local_hub(tmp_path / "cache", monkeypatch) as found:
        yield found


def test_what_is_pushed_is_loaded_from_there(tmp_path: Path, hub: Hub) -> None:
    prompt = runs.run(tmp_path, "llama", sp.PromptTuning(num_virtual_tokens=3), max_steps=4, learning_rate=0.1).prompt
    told = sp.push(prompt, "me/mine", private=True, token="hf_mine", licence="mit")
    assert told.endswith("/me/mine")
    sent = hub.files["me/mine"]
    assert set(sent) == {"prompt.safetensors", "prompt.json", "README.md", "rows.safetensors", "manifest.json"}
    assert sum(map(len, sent.values())) < 40_000
    hub.files["me/mine"] |= {"evil.py": b"raise SystemExit", "adapter_model.bin": b"\x80", "model.safetensors": b"0"}
    again = sp.load("hf://me/mine", model("llama"), tokenizer())
    assert again.predict(TEXTS) == prompt.predict(TEXTS)
    for name, tensor in prompt.producer.stored().items():
        assert torch.equal(again.producer.stored()[name], tensor)
    assert not any(name in one for one in hub.asked for name in ("evil.py", "adapter_model.bin", "model.safetensors"))
    hub.asked.clear()
    assert sp.load("hf://me/mine@main", model("llama"), tokenizer()).method == prompt.method
    assert not any("prompt.safetensors" in one for one in hub.asked)  # it lies in the cache by now


def test_the_card_tells_results_and_the_licence_as_the_hub_reads_them(tmp_path: Path, hub: Hub) -> None:
    prompt = runs.run(tmp_path, "llama", sp.PromptTuning(num_virtual_tokens=3), max_steps=2).prompt
    hub.cards["them/base"] = {"license": "gemma"}
    prompt.meta["backbone_name"] = "them/base"
    sp.push(prompt, "me/mine", token="hf_mine")
    card = ModelCard(hub.files["me/mine"]["README.md"].decode())
    assert (card.data.license, card.data.base_model, card.data.library_name) == ("gemma", "them/base", "softprompt")
    (result,) = card.data.eval_results
    assert (result.task_type, result.metric_type) == ("text-classification", "accuracy")
    assert result.metric_value == prompt.meta["metrics"]["accuracy"]
    assert "- Method: " in card.text
    assert sp.load("hf://me/mine", model("llama"), tokenizer()).meta["backbone_name"] == "them/base"


def test_the_command_line_pushes_and_reads_it(tmp_path: Path, hub: Hub) -> None:
    model("llama").save_pretrained(tmp_path / "base")
    tokenizer().save_pretrained(tmp_path / "base")
    runs.run(tmp_path, "llama", sp.PromptTuning(num_virtual_tokens=3), max_steps=2)
    base = ["--backbone", tmp_path / "base", "--dtype", "float32"]
    told = commands.done("push", tmp_path / "run", "me/mine", *base)
    assert told.out.strip().endswith("/me/mine")
    here = commands.done("predict", tmp_path / "run", TEXTS[0], *base).out
    assert commands.done("predict", "hf://me/mine", TEXTS[0], *base).out == here
