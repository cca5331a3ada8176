"""Starting from another task's prompt: the values, every method, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from softprompt.attached.attach import attach
from softprompt.backbones.fingerprint import fingerprint
from softprompt.errors import SoftPromptError
from softprompt.methods import method as method_of
from softprompt.storage.prompt import Prompt, save
from softprompt.training.run import Interrupted
from softprompt.training.warm_start import start_from

from ..shared.models import model, tokenizer
from ..shared.prompts import FAMILIES, METHODS, TRAINED, logits, producer
from ..shared.runs import PROMPT, Interrupting, run

BATCH = torch.tensor([[1, 20, 41, 42]])


def saved(folder: Path, family: str, method: Any, seed: int = 4) -> Prompt:
    backbone = model(family)
    vectors = producer(backbone, method, seed)
    with attach(backbone, tokenizer(), vectors), torch.no_grad():  # a weight-side method has none before
        for parameter in vectors.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    made = Prompt(method, vectors, None, None, None, fingerprint(backbone), backbone, tokenizer())
    save(made, folder)
    return made


@pytest.mark.parametrize("name", [name for name in TRAINED if METHODS[name].continues()])
def test_a_new_prompt_starts_as_the_saved_one(name: str, tmp_path: Path) -> None:
    family = next(one for one in ("llama", "bert", "t5") if one in FAMILIES[name])
    method = METHODS[name]
    old = saved(tmp_path, family, method)
    with old.attach() as prompted:
        wanted = logits(prompted, BATCH)
    with attach(model(family), tokenizer(), method, seed=9) as prompted:
        before = logits(prompted, BATCH)
        start_from(prompted, method, tmp_path)
        after = logits(prompted, BATCH)
        assert any(one.requires_grad for one in prompted.prompts.parameters())
    torch.testing.assert_close(after, wanted)
    assert not torch.allclose(before[0], wanted[0])


@pytest.mark.parametrize("method", ["prompt_tuning", "capt", "p_tuning_v2_projection"])
def test_a_run_that_starts_from_another_resumes_to_the_same_bytes(method: str, tmp_path: Path) -> None:
    chosen = METHODS[method]
    saved(tmp_path / "source", "llama", chosen)
    options = {"init_from": str(tmp_path / "source")}
    run(tmp_path / "a", "llama", chosen, **options)
    with pytest.raises(Interrupted, match="resume"):
        run(tmp_path / "b", "llama", chosen, progress=Interrupting(3), **options)
    run(tmp_path / "b", "llama", chosen, resume=True, **options)
    run(tmp_path / "c", "llama", chosen)
    bytes_of = {name: (tmp_path / name / PROMPT).read_bytes() for name in "abc"}
    assert bytes_of["a"] == bytes_of["b"] != bytes_of["c"]


def test_a_head_is_made_anew_and_the_prompt_taken_over(tmp_path: Path) -> None:
    chosen = METHODS["prompt_tuning"]
    run(tmp_path / "a", "bert", chosen, readout="head")
    again = run(tmp_path / "b", "bert", chosen, readout="head", init_from=str(tmp_path / "a" / "run"))
    assert again.metrics["trained_head_parameters"] > 0


def test_what_cannot_be_started_from_is_refused(tmp_path: Path) -> None:
    short = method_of("prompt_tuning", num_virtual_tokens=3)
    saved(tmp_path / "short", "llama", short)
    saved(tmp_path / "other", "qwen3", short)

    def start(method: Any, folder: str) -> None:
        with attach(model("llama"), tokenizer(), method) as prompted:
            start_from(prompted, method, tmp_path / folder)

    with pytest.raises(SoftPromptError, match=r"'table' has shape \(3, 32\)"):
        start(method_of("prompt_tuning", num_virtual_tokens=5), "short")
    with pytest.raises(SoftPromptError, match="of method 'prompt_tuning'"):
        start(method_of("capt"), "short")
    with pytest.raises(SoftPromptError, match="another backbone"):
        start(short, "other")
    with pytest.raises(SoftPromptError, match="no such file"):
        start(short, "nothing")
    shutil.copytree(tmp_path / "short", tmp_path / "hard")
    meta = tmp_path / "hard" / "prompt.json"
    meta.write_text(meta.read_text().replace('"prompt_tuning"', '"hard_prompt"'))
    with pytest.raises(SoftPromptError, match="does not start"):
        start(method_of("hard_prompt"), "hard")
    with pytest.raises(SoftPromptError, match="'capt' does not start from another prompt"):
        start(method_of("capt", select="learned:1"), "short")


@pytest.mark.parametrize("name", ["capt", "spt", "p_tuning_v2"])
def test_a_prompt_of_other_layers_is_no_start(name: str, tmp_path: Path) -> None:
    own, other, same = (method_of(name, select=choice) for choice in ("first:1", "1", "0"))
    saved(tmp_path, "llama", own)
    refused = pytest.raises(SoftPromptError, match="its layers are first:1, not 1; take select=first:1")
    with attach(model("llama"), tokenizer(), other) as prompted, refused:
        start_from(prompted, other, tmp_path)
    with attach(model("llama"), tokenizer(), same) as prompted:
        start_from(prompted, same, tmp_path)
