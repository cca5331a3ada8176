"""ATTEMPT: the attention over source prompts and the target, and sources that come from folders and stay."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from softprompt.attached.attach import attach, build
from softprompt.files.tensors import read_tensors
from softprompt.methods import Attempt, PromptTuning
from softprompt.storage.prompt import load

from ..shared.by_embeddings import FAMILIES, ROWS, agrees, embedded
from ..shared.models import ids, model, tokenizer
from ..shared.prompts import attached, close, every_family, fails, logits, loss_of, tiny
from ..shared.runs import run

# Embeddings of the tiny models are small, so that at 2000 every share would be the same.
EXAMPLES = {
    "attempt": {"method": "attempt", "num_virtual_tokens": 3, "num_sources": 2, "bottleneck": 6, "temperature": 0.05}
}


def by_hand(made: Any, text: Tensor, temperature: float) -> Tensor:
    """P(X) of a text `(N, E)`, from the equation."""
    down, up, norm = (getattr(made, name) for name in ("down", "up", "norm"))
    sources, target = list(made.sources), made.table
    hidden = down @ text.max(0).values
    made_of = up @ (hidden * torch.sigmoid(hidden))
    query = (made_of - made_of.mean()) / (made_of.var(unbiased=False) + 1e-5).sqrt() * norm.weight + norm.bias
    prompts = sources if target is None else [*sources, target]
    scores = torch.stack([(prompt.max(0).values * query).sum() / temperature for prompt in prompts])
    shares = scores.exp() / scores.exp().sum()
    mixed = sum(share * prompt for share, prompt in zip(shares, prompts, strict=True))
    return mixed if target is None else target + mixed


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("ignore_target", [False, True])
def test_the_equation(family: str, ignore_target: bool) -> None:
    method = Attempt(num_virtual_tokens=3, num_sources=2, temperature=5.0, ignore_target=ignore_target)
    with attached(model(family), method, seed=2) as prompted, torch.no_grad():
        made = prompted.prompts[0]
        draws = torch.Generator().manual_seed(1)
        for part in (made.down, made.up, made.sources, *([] if ignore_target else [made.table])):
            part.copy_(torch.randn(part.shape, generator=draws))
        made.norm.weight.uniform_(0.5, 2, generator=draws)
        prompts = [by_hand(made, embedded(family, row), 5.0) for row in ROWS]
        agrees(prompted, family, prompts)
        assert not torch.allclose(prompts[0], prompts[1], atol=1e-3)  # the text matters


@torch.no_grad()
def test_answers_are_not_attended_to() -> None:
    """Teacher forcing must not tell the attention the answer."""
    row = ids(8)
    labels = torch.full_like(row, -100)
    labels[:, 6:] = row[:, 6:]
    other = row.clone()
    other[:, 6:] = torch.tensor([50, 51])
    with attached(model("llama"), Attempt(temperature=0.05)) as prompted:
        one = prompted(input_ids=row, labels=labels).logits[:, :6]
        two = prompted(input_ids=other, labels=torch.where(labels < 0, labels, other)).logits[:, :6]
        shown = prompted(input_ids=other).logits[:, :6]
    close(one, two, 1e-6)
    assert not torch.allclose(one, shown, atol=1e-4)  # as text they would be


def sources(folder: Path, family: str = "llama", tokens: int = 2, count: int = 2) -> list[str]:
    """Runs of Prompt Tuning whose prompts differ."""
    found = []
    for index in range(count):
        place = folder / f"source{index}"
        run(place, family, PromptTuning(num_virtual_tokens=tokens), max_steps=index + 1, learning_rate=0.5)
        found.append(str(place / "run"))
    return found


def test_sources_come_from_folders_and_a_saved_prompt_needs_none_of_them(tmp_path: Path) -> None:
    places = sources(tmp_path)
    tables = torch.stack([read_tensors(Path(p) / "prompt" / "prompt.safetensors")["table"] for p in places])
    method = Attempt(num_virtual_tokens=2, sources=",".join(places), bottleneck=4)
    done = run(tmp_path / "target", "llama", method, data=tmp_path / "data")
    stored = read_tensors(done.folder / "prompt" / "prompt.safetensors")
    assert torch.equal(stored["sources"], tables)  # frozen
    assert not torch.equal(stored["table"], tables[0])
    e = tables.shape[-1]
    assert done.metrics["trained_parameters"] == 2 * e + 2 * 4 * e + 2 * e
    told = done.predict(["w20 w50", "w30 w51"])
    for place in places:
        shutil.rmtree(place)
    again = load(done.folder, model("llama"), tokenizer())
    assert again.predict(["w20 w50", "w30 w51"]) == told
    with done.prompt.attach() as one:
        first = logits(one, ids(6))[0]
    with again.attach() as two:
        assert torch.equal(logits(two, ids(6))[0], first)


def test_sources_are_trained_where_asked_to(tmp_path: Path) -> None:
    (place,) = sources(tmp_path, count=1)
    frozen = Attempt(num_virtual_tokens=2, sources=(place,))
    for method, count in ((frozen, 1), (frozen.model_copy(update={"train_sources": True}), 2)):
        with attach(model("llama"), tokenizer(), method) as prompted:
            e = prompted.anatomy.embedding_size
            trained = sum(p.numel() for p in prompted.prompts.parameters() if p.requires_grad)
            assert trained == count * 2 * e + 2 * 100 * e + 2 * e
            prompted.train()
            loss_of(prompted, ids(6)).backward()
            assert all(bool(p.grad.any()) for p in prompted.prompts.parameters())


def test_sources_of_another_length_or_backbone_are_refused(tmp_path: Path) -> None:
    (place,) = sources(tmp_path, count=1)
    with fails(rf"{place}: a table of shape \(2, 32\).*one of shape \(3, 32\)"):
        build(model("llama"), tokenizer(), Attempt(num_virtual_tokens=3, sources=(place,)))
    with fails(rf"{place}/prompt: made for another backbone .*; start from one of this backbone"):
        run(tmp_path / "target", "qwen3", Attempt(num_virtual_tokens=2, sources=(place,)))


@pytest.mark.parametrize("ignore_target", [False, True])
def test_every_part_gets_a_gradient(ignore_target: bool) -> None:
    with attached(model("t5"), Attempt(num_virtual_tokens=2, ignore_target=ignore_target, temperature=1)) as prompted:
        prompted.train()
        loss_of(prompted, ids(6)).backward()
        assert all(bool(p.grad.any()) for p in prompted.prompts.parameters())


def test_the_attention_has_a_rate_of_its_own() -> None:
    made = build(model("llama"), tokenizer(), Attempt(attention_rate=0.1))
    assert made.rates() == dict.fromkeys([n for n, _ in made.named_parameters() if n not in ("table", "sources")], 0.1)
    assert build(model("llama"), tokenizer(), Attempt()).rates() == {}


@every_family
def test_scalars(family: str) -> None:
    """k e + t k e + 2 e m + 2 e without folders, all stored."""
    with tiny(family, Attempt(num_virtual_tokens=4, num_sources=3, bottleneck=5)) as prompted:
        e = prompted.anatomy.embedding_size
        asked = 4 * e + 3 * 4 * e + 2 * 5 * e + 2 * e
        assert sum(p.numel() for p in prompted.parameters() if p.requires_grad) == asked
        assert sum(t.numel() for t in prompted.prompts[0].stored().values()) == asked


@torch.no_grad()
def test_a_large_temperature_is_twice_the_target_and_a_mean() -> None:
    """The start that the defaults have: equal shares."""
    made = build(model("llama"), tokenizer(), Attempt(num_virtual_tokens=2, num_sources=3, temperature=1e9))
    with attach(model("llama"), tokenizer(), made) as prompted:
        mean = torch.cat([made.sources, made.table[None]]).mean(0)
        expected = torch.cat([made.table + mean, embedded("llama", ids(5))])[None]
        close(logits(prompted, ids(5))[0], model("llama")(inputs_embeds=expected).logits[0, 2:], 1e-5)
