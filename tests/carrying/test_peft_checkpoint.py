"""What is exported to PEFT answers there as it does here, whatever the family, and comes back as it was."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from transformers import AutoModelForTokenClassification

import softprompt as sp
from softprompt.methods import Method

from ..shared import runs
from ..shared.carried import prompt_of
from ..shared.models import DECODERS, FAMILIES, ids, model, tokenizer
from ..shared.peft_checkpoints import logits

STREAM = {"num_virtual_tokens": 3}
METHODS: dict[str, Method] = {
    "prompt_tuning": sp.PromptTuning(**STREAM),
    "residual_prompt": sp.ResidualPrompt(**STREAM),
    "p_tuning": sp.PTuning(**STREAM),
    "mpt": sp.MPT(**STREAM, rank=2),
    "p_tuning_v2": sp.PTuningV2(**STREAM),
    "prefix_tuning": sp.PrefixTuning(**STREAM, encoder_hidden_size=8),
    "lora": sp.LoRA(rank=2, alpha=6),
    "ia3": sp.IA3(),
}
TYPES = {
    "prompt_tuning": "PROMPT_TUNING",
    "residual_prompt": "PROMPT_TUNING",
    "p_tuning": "P_TUNING",
    "mpt": "MULTITASK_PROMPT_TUNING",
    "p_tuning_v2": "PREFIX_TUNING",
    "prefix_tuning": "PREFIX_TUNING",
    "lora": "LORA",
    "ia3": "IA3",
}
# All of method x family stands in the table of docs/carrying.md, which benchmarks/carrying.py measures.
SERVED = [
    *((family, name) for name in ("prompt_tuning", "lora") for family in FAMILIES),
    *((family, "p_tuning_v2") for family in DECODERS),
    *((family, name) for name in ("mpt", "p_tuning", "ia3") for family in ("bert", "t5", "gpt2")),
    ("llama", "mpt"),
    ("llama", "prefix_tuning"),
    ("gemma3", "residual_prompt"),
]


def base_of(family: str, head: str = "lm") -> Any:
    """Without a window that a prefix and a text would leave."""
    return model(family, head, window=64) if family in ("gemma3", "mistral") else model(family, head)


def theirs(folder: Path, backbone: Any) -> Any:
    """PEFT's own model of what was exported."""
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        return peft.PeftModel.from_pretrained(copy.deepcopy(backbone), folder).eval()


@pytest.mark.parametrize(("family", "name"), SERVED)
def test_logits_are_pefts_own_and_the_prompt_comes_back(family: str, name: str, tmp_path: Path) -> None:
    backbone = base_of(family)
    prompt = prompt_of(backbone, METHODS[name])
    folder = sp.export(prompt, tmp_path / "theirs", to="peft")
    other = theirs(folder, backbone)
    kind = other.active_peft_config.peft_type
    assert kind == ("PROMPT_TUNING" if name == "mpt" and family not in DECODERS else TYPES[name])
    by_task = {"task_ids": torch.zeros(1, dtype=torch.long)} if kind == "MULTITASK_PROMPT_TUNING" else {}
    with prompt.attach() as prompted:
        found = logits(prompted, family)
    expected = logits(other, family, **by_task)
    torch.testing.assert_close(found, expected[:, -found.shape[1] :], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(found, logits(backbone, family), atol=1e-3)
    again = sp.load(folder, backbone, tokenizer())
    assert again.method.name == ("prompt_tuning" if kind == "PROMPT_TUNING" else name)
    with again.attach() as prompted:
        torch.testing.assert_close(logits(prompted, family), found, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    ("family", "method", "told"),
    [
        ("llama", sp.CaPT(), "it writes vectors into the layers"),
        ("llama", sp.IDPG(num_virtual_tokens=2), "it makes its vectors of each text"),
        ("llama", sp.DePT(num_virtual_tokens=2, rank=2), "it moves the embeddings of each text"),
        ("gpt2", sp.BitFit(), "it works in the backbone's own weights"),
        ("llama", sp.PromptTuning(num_virtual_tokens=2, placement="end"), "elsewhere than in front of the text"),
        ("llama", sp.PTuningV2(num_virtual_tokens=2, select="0,2"), "keys and values in some layers alone"),
        ("t5", sp.PrefixTuning(num_virtual_tokens=2), "its keys and values stand in an encoder, too"),
        ("bert", sp.PTuningV2(num_virtual_tokens=2), "as past_key_values, which BertForMaskedLM does not take"),
    ],
)
def test_what_peft_does_not_have_is_refused_in_one_line(family: str, method: Method, told: str, tmp_path: Path) -> None:
    with pytest.raises(sp.SoftPromptError) as error:
        sp.export(prompt_of(model(family), method), tmp_path / "new", to="peft")
    line = str(error.value)
    assert f"({method.name}) cannot be carried to peft: " in line
    assert told in line
    assert "\n" not in line
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("family", "head", "name"),
    [
        ("bert", "sequence", "p_tuning_v2"),
        ("bert", "sequence", "lora"),
        ("bert", "token", "prompt_tuning"),
        ("llama", "sequence", "prompt_tuning"),
        ("roberta", "question", "p_tuning_v2"),
    ],
)
def test_a_models_own_head_goes_along(family: str, head: str, name: str, tmp_path: Path) -> None:
    backbone = model(family, head)
    prompt = prompt_of(backbone, METHODS[name])
    other = theirs(sp.export(prompt, tmp_path / "theirs", to="peft"), model(family, head, seed=0))
    field = "start_logits" if head == "question" else "logits"
    given = {"input_ids": ids(6), "attention_mask": torch.ones(1, 6, dtype=torch.long)}
    with prompt.attach() as prompted, torch.no_grad():
        found, expected = getattr(prompted(**given), field), getattr(other(**given), field)
    expected = expected if head == "sequence" else expected[:, -found.shape[1] :]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["prompt_tuning", "p_tuning_v2", "lora"])
@pytest.mark.parametrize(("family", "pooling"), [("bert", "mean"), ("llama", "last")])
def test_a_linear_head_becomes_a_token_classifiers(family: str, pooling: str, name: str, tmp_path: Path) -> None:
    """Its logits at the column that our head reads, or their mean over the text, are the head's."""
    prompt = runs.run(tmp_path, family, METHODS[name], readout="head", pooling=pooling, max_steps=2).prompt
    folder = sp.export(prompt, tmp_path / "theirs", to="peft")
    config = copy.deepcopy(prompt.model.config)
    config.num_labels = 2
    bare = AutoModelForTokenClassification.from_config(config)
    getattr(bare, bare.base_model_prefix).load_state_dict(prompt.backbone.anatomy.body.state_dict(), strict=False)
    task, readout = prompt.asked()
    row = torch.tensor([readout.encode(task.rows_of(["w20 w41 w42"])[0]).texts[0].ids])
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = theirs(folder, bare)(input_ids=row, attention_mask=torch.ones_like(row)).logits[0, -row.shape[1] :]
    read = found.mean(0) if pooling == "mean" else found[-1]
    expected = torch.tensor(prompt.outcomes(["w20 w41 w42"])[0].probabilities)
    torch.testing.assert_close(read.softmax(-1), expected, atol=1e-5, rtol=1e-5)
    assert (
        f"read {'as the mean over the text' if pooling == 'mean' else 'at its last'}"
        in (folder / "README.md").read_text()
    )


def test_what_stands_in_the_way_is_left_alone(tmp_path: Path) -> None:
    prompt = prompt_of(model("llama"), METHODS["prompt_tuning"])
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(sp.SoftPromptError, match="holds something already: choose a new folder"):
        sp.export(prompt, tmp_path, to="peft")
    assert (tmp_path / "mine").read_text() == "kept"
    with pytest.raises(sp.SoftPromptError, match="to 'peff': no such form: choose one of peft"):
        sp.export(prompt, tmp_path / "new", to="peff")
    with pytest.raises(sp.SoftPromptError, match="takes one prompt, and there are 2"):
        sp.export({"a": prompt, "b": prompt}, tmp_path / "new", to="peft")


@pytest.mark.parametrize("given", ["runs/mail", {"a": "runs/mail"}, [1]])
def test_what_is_no_prompt_is_one_line(given: Any, tmp_path: Path) -> None:
    with pytest.raises(sp.SoftPromptError, match="export takes a prompt, .* load a folder with softprompt.load first"):
        sp.export(given, tmp_path / "new", to="peft")
    assert not (tmp_path / "new").exists()


def test_a_window_that_is_left_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sp.export(prompt_of(model("gemma3"), METHODS["p_tuning_v2"]), tmp_path / "a", to="peft")
    assert "a sliding window of 8" in caplog.text
    caplog.clear()
    sp.export(prompt_of(model("gemma3"), METHODS["prompt_tuning"]), tmp_path / "b", to="peft")
    assert not caplog.text
