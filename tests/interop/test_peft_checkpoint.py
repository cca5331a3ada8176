"""What PEFT saved of a prompt answers here as it does there, or is told what it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import softprompt as sp
from softprompt.errors import SoftPromptError
from softprompt.interop.peft_checkpoint import read_peft

from ..shared import commands
from ..shared.models import model, tokenizer
from ..shared.peft_checkpoints import checkpoint, head_from, logits

COUNT = 4
_STREAM = {"num_virtual_tokens": COUNT}
CONFIGS: dict[str, Callable[[str], Any]] = {
    "prompt_tuning": lambda task: peft.PromptTuningConfig(task_type=task, **_STREAM),
    "p_tuning": lambda task: peft.PromptEncoderConfig(task_type=task, encoder_hidden_size=16, **_STREAM),
    "p_tuning_lstm": lambda task: peft.PromptEncoderConfig(
        task_type=task, encoder_hidden_size=16, encoder_reparameterization_type="LSTM", **_STREAM
    ),
    "mpt": lambda task: peft.MultitaskPromptTuningConfig(task_type=task, num_tasks=1, num_ranks=2, **_STREAM),
    "cpt": lambda task: peft.CPTConfig(
        task_type=task, cpt_token_ids=[5, 6, 7, 8], cpt_mask=[1] * 4, cpt_tokens_type_mask=[1, 2, 3, 4]
    ),
    "p_tuning_v2": lambda task: peft.PrefixTuningConfig(task_type=task, **_STREAM),
    "prefix_tuning": lambda task: peft.PrefixTuningConfig(
        task_type=task, prefix_projection=True, encoder_hidden_size=16, **_STREAM
    ),
}
OURS = {"p_tuning_lstm": "p_tuning", "cpt": "prompt_tuning"}
SERVED = [
    *(("llama", "lm", "CAUSAL_LM", name) for name in CONFIGS),
    *(("gpt2", "lm", "CAUSAL_LM", name) for name in ("prompt_tuning", "p_tuning_v2")),
    *(("gemma3", "lm", "CAUSAL_LM", name) for name in ("prompt_tuning", "p_tuning_v2")),
    *(("t5", "lm", "SEQ_2_SEQ_LM", name) for name in ("prompt_tuning", "p_tuning")),
    *(("bert", "token", "TOKEN_CLS", name) for name in ("prompt_tuning", "p_tuning", "p_tuning_v2")),
    ("bert", "sequence", "SEQ_CLS", "p_tuning_v2"),
    ("llama", "sequence", "SEQ_CLS", "prompt_tuning"),
    ("bert", "lm", "FEATURE_EXTRACTION", "prompt_tuning"),
]


def base_of(family: str, head: str) -> Any:
    return model(family, head, window=64) if family == "gemma3" else model(family, head)


@pytest.mark.parametrize(("family", "head", "task", "name"), SERVED)
def test_a_prompt_of_pefts_answers_as_it_does_there(
    family: str, head: str, task: str, name: str, tmp_path: Path
) -> None:
    theirs = checkpoint(tmp_path, base_of(family, head), CONFIGS[name](task))
    backbone = head_from(tmp_path, base_of(family, head))
    prompt = sp.load(tmp_path, backbone, tokenizer())
    assert prompt.method.name == OURS.get(name, name)
    by_task = {"task_ids": torch.zeros(1, dtype=torch.long)} if name == "mpt" else {}
    expected = logits(theirs, family, **by_task)
    with prompt.attach() as prompted:
        found = logits(prompted, family)
    torch.testing.assert_close(found, expected[:, -found.shape[1] :], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(found, logits(backbone, family), atol=1e-2)


def test_what_was_read_is_saved_as_a_prompt_folder(tmp_path: Path) -> None:
    base = model("llama")
    checkpoint(tmp_path / "theirs", base, CONFIGS["mpt"]("CAUSAL_LM"))
    prompt = sp.load(tmp_path / "theirs", base, tokenizer())
    again = sp.load(sp.save(prompt, tmp_path / "ours"), base, tokenizer())
    assert again.method == prompt.method
    assert again.meta["peft"]["peft_type"] == "MULTITASK_PROMPT_TUNING"
    for name, tensor in prompt.producer.stored().items():
        assert torch.equal(again.producer.stored()[name], tensor)


def refusal(folder: Path, base: Any) -> str:
    with pytest.raises(SoftPromptError) as error:
        sp.load(folder, base, tokenizer())
    told = str(error.value)
    assert len(told.splitlines()) == 1
    return told


@pytest.mark.parametrize(
    ("family", "head", "task", "name", "told"),
    [
        ("t5", "lm", "SEQ_2_SEQ_LM", "p_tuning_v2", "in the decoder alone"),
        ("t5", "lm", "SEQ_2_SEQ_LM", "mpt", "in the decoder, too"),
        ("bert", "sequence", "SEQ_CLS", "prompt_tuning", "classifier reads the first virtual token"),
    ],
)
def test_what_peft_does_in_another_way_is_refused(
    family: str, head: str, task: str, name: str, told: str, tmp_path: Path
) -> None:
    base = model(family, head)
    checkpoint(tmp_path, base, CONFIGS[name](task))
    assert told in refusal(tmp_path, head_from(tmp_path, base))


def test_an_adapter_that_no_method_here_has_is_told_to_be_one(tmp_path: Path) -> None:
    config = peft.AdaptionPromptConfig(task_type="CAUSAL_LM", adapter_len=3, adapter_layers=2)
    checkpoint(tmp_path, model("llama"), config)
    told = refusal(tmp_path, model("llama"))
    assert "'ADAPTION_PROMPT', which no method here has" in told
    assert "adapter_config.json" in told


def test_a_prefix_over_a_sliding_window_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """PEFT's leaves the window of eight, as a text of that length would; ours does not."""
    theirs = checkpoint(tmp_path, model("gemma3"), CONFIGS["p_tuning_v2"]("CAUSAL_LM"))
    prompt = sp.load(tmp_path, model("gemma3"), tokenizer())
    assert "a sliding window of 8" in caplog.text
    with prompt.attach() as prompted:
        apart = (logits(prompted, "gemma3") - logits(theirs, "gemma3")).abs().amax(-1)[0]
    assert apart[:4].max() < 1e-5  # prefix and text are eight columns there
    assert apart[5] > 1e-3


def test_another_backbone_and_another_head_are_refused(tmp_path: Path) -> None:
    checkpoint(tmp_path / "a", model("llama"), CONFIGS["p_tuning_v2"]("CAUSAL_LM"))
    assert "for another backbone (shape (4, 96) there, (4, 64) here)" in refusal(
        tmp_path / "a", model("llama", layers=2)
    )
    assert "trained for 'CAUSAL_LM', and this backbone is of the kind encoder" in refusal(tmp_path / "a", model("bert"))
    checkpoint(tmp_path / "b", model("bert", "token"), CONFIGS["p_tuning_v2"]("TOKEN_CLS"))
    assert "holds 'classifier." in refusal(tmp_path / "b", model("bert", "token"))


def _edited(folder: Path, **values: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def _tensors(folder: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    path = folder / "adapter_model.safetensors"
    save_file(change(load_file(path)), path)


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (
            lambda f: (f / "adapter_model.safetensors").rename(f / "adapter_model.bin"),
            "a pickle, which is never loaded",
        ),
        (lambda f: (f / "adapter_model.safetensors").unlink(), "copy the whole checkpoint"),
        (lambda f: (f / "adapter_config.json").write_text("{"), "cannot be read as JSON"),
        (lambda f: (f / "adapter_config.json").write_text("{}"), "peft_type: Field required"),
        (lambda f: _edited(f, num_virtual_tokens="many"), "num_virtual_tokens: Input should be a valid integer"),
        (lambda f: _edited(f, num_virtual_tokens=5), "has shape (4, 32), which adapter_config.json does not ask for"),
        (lambda f: _edited(f, task_type=None), "names no task_type"),
        (lambda f: _tensors(f, lambda t: {"other": t["prompt_embeddings"]}), "'prompt_embeddings' is missing"),
        (lambda f: _tensors(f, lambda t: {**t, "other": torch.ones(1)}), "'other' is none of a PROMPT_TUNING's"),
        (lambda f: _tensors(f, lambda t: {name: one.int() for name, one in t.items()}), "is I32"),
        (lambda f: _tensors(f, lambda t: {name: one / 0 for name, one in t.items()}), "holds NaN or infinity"),
        (lambda f: (f / "adapter_model.safetensors").write_bytes(b"12345678"), "damaged or truncated"),
    ],
)
def test_a_damaged_checkpoint_is_told_in_one_line(harm: Callable[[Path], object], told: str, tmp_path: Path) -> None:
    checkpoint(tmp_path, model("llama"), CONFIGS["prompt_tuning"]("CAUSAL_LM"))
    harm(tmp_path)
    assert told in refusal(tmp_path, model("llama"))


def test_of_several_tasks_one_is_to_be_chosen(tmp_path: Path) -> None:
    config = peft.MultitaskPromptTuningConfig(task_type="CAUSAL_LM", num_tasks=3, **_STREAM)
    theirs = checkpoint(tmp_path, model("llama"), config)
    assert "the prompts of 3 tasks" in refusal(tmp_path, model("llama"))
    expected = logits(theirs, "llama", task_ids=torch.tensor([1]))
    _tensors(tmp_path, lambda t: {k: v[1:2].contiguous() if v.ndim == 3 else v for k, v in t.items()})
    with sp.load(tmp_path, model("llama"), tokenizer()).attach() as prompted:
        torch.testing.assert_close(logits(prompted, "llama"), expected[:, COUNT:], atol=1e-5, rtol=1e-5)


def test_half_precision_is_read_as_it_is(tmp_path: Path) -> None:
    checkpoint(tmp_path, model("llama"), CONFIGS["prompt_tuning"]("CAUSAL_LM"))
    _tensors(tmp_path, lambda t: {name: one.bfloat16() for name, one in t.items()})
    found = read_peft(tmp_path, sp.Backbone(model("llama"), tokenizer())).producer.stored()["table"]
    assert found.dtype == torch.float32
    assert torch.equal(found.bfloat16(), load_file(tmp_path / "adapter_model.safetensors")["prompt_embeddings"])


@pytest.mark.parametrize("verb", ["evaluate", "predict", "explain nearest"])
def test_the_command_line_says_what_it_is(verb: str, tmp_path: Path) -> None:
    checkpoint(tmp_path, model("llama"), CONFIGS["prompt_tuning"]("CAUSAL_LM"))
    told = commands.refusal(*verb.split(), tmp_path, *(["w9 w10"] if verb == "predict" else []))
    assert "a checkpoint of PEFT (adapter_config.json), which knows of no task" in told


def test_a_new_prompt_that_shall_start_from_it_says_so(tmp_path: Path) -> None:
    checkpoint(tmp_path, model("llama"), CONFIGS["prompt_tuning"]("CAUSAL_LM"))
    with pytest.raises(SoftPromptError, match="a checkpoint of PEFT"):
        sp.attach(
            model("llama"), tokenizer(), sp.PromptTuning(num_virtual_tokens=4, init="saved", init_prompt=str(tmp_path))
        )
