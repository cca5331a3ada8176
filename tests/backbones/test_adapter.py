"""An adapter beside the weights: applied where it is named, never else, and one line where it cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM

from softprompt.backbones import load as loading
from softprompt.errors import SoftPromptError

from ..shared.checkpoints import IDS, LLAMA, edit, load_plain, refusal, with_adapter


def test_an_adapter_is_applied_where_it_is_asked_for_and_never_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = load_plain(folder)(IDS).logits
    expected = with_adapter(folder)
    assert f"name it adapter:{folder} to have it applied" in refusal(folder)
    model = load_plain(f"adapter:{folder}")
    torch.testing.assert_close(model(IDS).logits, expected)
    assert not torch.allclose(expected, plain, atol=1e-3)
    assert type(model) is LlamaForCausalLM
    assert model.state_dict().keys() == LlamaForCausalLM(LLAMA).state_dict().keys()
    assert model.config.name_or_path == f"adapter:{folder}"
    # Were it ever looked past, transformers would still find none.
    monkeypatch.setattr(loading, "check_checkpoint", lambda source: None)
    assert torch.equal(load_plain(folder)(IDS).logits, plain)


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
        load_plain(f"adapter:{folder}")
    assert len(str(error.value).splitlines()) == 1


def test_what_stands_in_an_adapter_alone_is_told_in_one_line(tmp_path: Path) -> None:
    for text, told in (
        ('{"base_model_name_or_path": "org/\\nbase"}', "load the adapter's base model (org/ base)"),
        ('{"base_model_name_or_path": ' + "[" * 100_000, "adapter_config.json does not name it"),
    ):
        (tmp_path / "adapter_config.json").write_text(text)
        assert told in refusal(tmp_path)
