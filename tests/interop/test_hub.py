"""Names of the hub: what is no prompt there is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

import softprompt as sp
from softprompt.interop.hub import at_hand

from ..shared.hub import local_hub
from ..shared.models import model, tokenizer


@pytest.mark.parametrize("given", ["runs/first", Path("here"), "hf", "hfx://me/mine"])
def test_another_path_is_left_as_it_is(given: str | Path) -> None:
    assert at_hand(given) is given


@pytest.mark.parametrize("name", ["hf://", "hf://mine", "hf://me/../mine", "hf://me/mine@a b", "hf:///me/mine"])
def test_what_is_no_name_is_refused_without_asking(name: str) -> None:
    with pytest.raises(sp.SoftPromptError, match="names no prompt of the hub: write hf://OWNER/NAME"):
        at_hand(name)


def test_what_the_hub_does_not_have_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with local_hub(tmp_path, monkeypatch) as hub:
        hub.files["me/code"] = {"run.py": b"raise SystemExit"}
        hub.gated.add("me/gated")
        for name, told in (
            ("me/none", "no such repository"),
            ("me/gated", "is gated: accept its terms"),
            ("me/code", "holds no prompt: it has neither prompt.json nor adapter_config.json"),
        ):
            with pytest.raises(sp.SoftPromptError) as error:
                sp.load(f"hf://{name}", model("llama"), tokenizer())
            assert told in str(error.value)
            assert "\n" not in str(error.value)


def test_several_prompts_of_one_repository_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with local_hub(tmp_path / "cache", monkeypatch) as hub:
        two = {"a": sp.PromptTuning(num_virtual_tokens=2), "b": sp.PTuningV2(num_virtual_tokens=3)}
        with sp.attach(model("llama"), tokenizer(), two) as prompted:
            prompted.push_to_hub("me/both", token="hf_mine")
        assert {name.split("/")[0] for name in hub.files["me/both"]} == {"a", "b"}
        assert sp.load("hf://me/both/b", model("llama"), tokenizer()).method == two["b"]


def test_no_network_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(sp.SoftPromptError, match="hf://me/mine cannot be fetched") as error:
        at_hand("hf://me/mine")
    assert "\n" not in str(error.value)
