"""SPoT's two similarities against a plain re-derivation, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cosine_similarity

from softprompt.attached.attach import build
from softprompt.backbones.fingerprint import fingerprint
from softprompt.errors import SoftPromptError
from softprompt.explain.similarity import similarity_figures, similarity_of, similarity_page
from softprompt.methods import method as method_of
from softprompt.sites.producer import Producer
from softprompt.storage.prompt import Prompt, save
from softprompt.tasks import Task

from ..shared.models import model, tokenizer
from ..shared.prompts import producer


def saved(folder: Path, method: str, seed: int, family: str = "llama", task: str = "", **options: Any) -> Producer:
    backbone, chosen = model(family), method_of(method, **options)
    made = producer(backbone, chosen, seed) if method != "head_only" else build(backbone, tokenizer(), chosen)
    named = Task(name=task, template="{text} {mask}", labels=["w10", "w11"]) if task else None
    save(Prompt(chosen, made, named, None, None, fingerprint(backbone), backbone, tokenizer()), folder)
    return made


def test_both_metrics_are_the_plain_sums(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "abc"]
    tables = [
        saved(folder, "prompt_tuning", seed, num_virtual_tokens=count).stored()["table"]
        for seed, (folder, count) in enumerate(zip(folders, (3, 5, 3), strict=True))
    ]
    found = similarity_of(folders)
    for i, one in enumerate(tables):
        for j, other in enumerate(tables):
            mean = cosine_similarity(one.mean(0), other.mean(0), dim=0)
            pairs = [cosine_similarity(p, q, dim=0) for p in one for q in other]
            assert found.mean_tokens[i][j] == pytest.approx(float(mean), abs=1e-5)
            assert found.token_pairs[i][j] == pytest.approx(float(torch.stack(pairs).mean()), abs=1e-5)
            assert found.mean_tokens[i][j] == pytest.approx(found.mean_tokens[j][i], abs=1e-12)
        assert found.mean_tokens[i][i] == pytest.approx(1)
        assert found.token_pairs[i][i] < 1
    assert found.nearest(0) == max((1, 2), key=lambda index: found.mean_tokens[0][index])


def test_runs_are_found_and_layers_are_joined(tmp_path: Path) -> None:
    one = saved(tmp_path / "run" / "prompt", "capt", 1).stored()["table"]
    other = saved(tmp_path / "other", "capt", 2).stored()["table"]
    found = similarity_of([tmp_path / "run", tmp_path / "other"])
    flat = [table[:, 0].flatten() for table in (one, other)]
    assert found.mean_tokens[0][1] == pytest.approx(float(cosine_similarity(*flat, dim=0)), abs=1e-5)


def test_prompts_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    saved(tmp_path / "pt", "prompt_tuning", 1)
    saved(tmp_path / "capt", "capt", 1)
    saved(tmp_path / "qwen", "prompt_tuning", 1, family="qwen3")
    saved(tmp_path / "head", "head_only", 1)
    for other, message in (("capt", "of one method"), ("qwen", "different backbones"), ("head", "no table")):
        with pytest.raises(SoftPromptError, match=message):
            similarity_of([tmp_path / "pt", tmp_path / other])
    with pytest.raises(SoftPromptError, match="two prompts"):
        similarity_of([tmp_path / "pt"])
    with pytest.raises(SoftPromptError, match="no such file"):
        similarity_of([tmp_path / "pt", tmp_path / "nothing"])


def test_the_page_names_the_tasks(tmp_path: Path) -> None:
    for seed, task in enumerate(("sst2", "mr")):
        saved(tmp_path / task, "prompt_tuning", seed, task=task)
    found = similarity_of([tmp_path / "sst2", tmp_path / "mr"])
    page = similarity_page(found, tmp_path / "page.html", "alike").read_text()
    assert "1. sst2" in page
    assert 'src="http' not in page
    first, second = similarity_figures(found)
    assert first.table.rows[0][2] == f"{found.mean_tokens[0][1]:.2f} {found.mean_tokens[0][1]:.4g}"
    assert second.table.rows[0][2].startswith(f"{found.token_pairs[0][1]:.2f}")
    assert found.as_dict()["tasks"] == ("sst2", "mr")
