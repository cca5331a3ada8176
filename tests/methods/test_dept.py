"""DePT: the text moved by position, at any padding, in packed rows, and never beyond the conditioning text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from softprompt.attached.attach import attach
from softprompt.methods import DePT, PromptTuning
from softprompt.training.fitting import trainer

from ..shared.by_embeddings import FAMILIES, ROWS, agrees, embedded
from ..shared.models import ids, model, padded, tokenizer
from ..shared.prompts import attached, call, close, every_decoder, every_family, logits, producer, tiny
from ..shared.runs import run

EXAMPLES = {"dept": {"method": "dept", "num_virtual_tokens": 3, "rank": 4, "max_positions": 9}}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("longest", [12, 5])
def test_the_equation(family: str, longest: int) -> None:
    """With `longest` below a row's length the rest of it stays as it is."""
    method = DePT(num_virtual_tokens=3, rank=4, max_positions=longest, alpha=6.0)
    with attached(model(family), method) as prompted:
        p = {name: value.detach() for name, value in prompted.prompts[0].named_parameters()}
        texts = []
        for row in ROWS:
            text = embedded(family, row).clone()
            for j in range(min(longest, len(text))):
                text[j] += 6.0 / 4**0.5 * (p["positions"][j] @ p["directions"])
            texts.append(text)
        agrees(prompted, family, [p["table"]] * len(ROWS), texts)


@every_family
def test_it_starts_as_prompt_tuning(family: str) -> None:
    """B = 0, and the same draws give the same words."""
    found = []
    for method in (DePT(num_virtual_tokens=4), PromptTuning(num_virtual_tokens=4)):
        with attach(model(family), tokenizer(), method, seed=6) as prompted, torch.no_grad():
            found.append(call(prompted, ids(6)).logits)
    close(*found, 1e-6)


@torch.no_grad()
def test_the_first_values_of_a() -> None:
    a = producer(model("llama"), DePT(rank=16)).positions
    assert float(a.abs().max()) <= 0.25
    assert float(a.abs().max()) > 0.24


@every_decoder
@pytest.mark.parametrize("placement", ["front", "after_bos", "end"])
def test_the_prompts_place_does_not_move_the_count(family: str, placement: str) -> None:
    """Virtual tokens in the text are not counted: with rows of words the text alone is moved, wherever they stand."""
    at = {"front": 0, "after_bos": 1, "end": 6}[placement]
    method = DePT(num_virtual_tokens=2, rank=3, placement=placement, init="text", init_text="w20 w21")
    with attached(model(family), method) as prompted, torch.no_grad():
        made, row = prompted.prompts[0], ids(6)
        text = embedded(family, row) + made.scale * (made.positions @ made.directions)[:6]
        found = logits(prompted, row)[0]
        whole = torch.cat([text[:at], made.table, text[at:]])[None]
    with torch.no_grad():
        plain = model(family)(inputs_embeds=whole).logits[0]
    close(found, torch.cat([plain[:at], plain[at + 2 :]]), 1e-5)


@every_decoder
@torch.no_grad()
def test_answers_and_generated_tokens_are_not_moved(family: str) -> None:
    row = ids(8)
    labels = torch.full_like(row, -100)
    labels[:, 5:] = row[:, 5:]
    with attached(model(family), DePT(num_virtual_tokens=2, rank=3)) as prompted:
        made = prompted.prompts[0]
        text = embedded(family, row).clone()
        text[:5] += made.scale * (made.positions @ made.directions)[:5]
        found = prompted(input_ids=row, labels=labels).logits[0]
        options: dict[str, Any] = {"max_new_tokens": 4, "min_new_tokens": 4, "do_sample": False}
        made_tokens = prompted.generate(row[:, :5], attention_mask=torch.ones(1, 5).long(), **options)
        asked = torch.arange(9)[None] < 5
        forward = prompted(input_ids=made_tokens, conditioning_mask=asked).logits[0, 4:8].argmax(-1)
        assert made_tokens[0, 5:].tolist() == forward.tolist()
        whole = torch.cat([made.table, text])[None]
    close(found, model(family)(inputs_embeds=whole).logits[0, 2:], 1e-5)


@torch.no_grad()
def test_a_batch_that_mixes_it_with_other_prompts() -> None:
    """Each row's text is moved by its own prompt alone."""
    backbone = model("llama")
    made = {
        "dept": producer(backbone, DePT(num_virtual_tokens=3, rank=4)),
        "plain": producer(backbone, "prompt_tuning"),
    }
    with attach(backbone, tokenizer(), made) as prompted:
        names = ["plain", "dept", "dept"]
        together = logits(prompted, *padded(ROWS, "left"), prompts=names)
        for name, row, mixed in zip(names, ROWS, together, strict=True):
            close(mixed, logits(prompted, row, prompts=name)[0])


@every_family
def test_scalars(family: str) -> None:
    with tiny(family, DePT()) as prompted:
        e = prompted.anatomy.embedding_size
        expected = 40 * e + 45 * (256 + e)
        assert sum(p.numel() for p in prompted.parameters() if p.requires_grad) == expected
        assert sum(t.numel() for t in prompted.prompts[0].stored().values()) == expected


def test_the_published_budget() -> None:
    """m e + r (S + e) of the defaults is a prompt of 100 rows where e = 768 (T5-Base)."""
    options = DePT()
    m, r, s, e = options.num_virtual_tokens, options.rank, options.max_positions, 768
    assert m * e + r * (s + e) == 100 * e


def test_two_learning_rates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    create = trainer.SoftPromptTrainer.create_optimizer

    def watched(self: Any, model: Any = None) -> Any:
        made = create(self, model)
        if not seen:
            seen.extend((group["lr"], [tuple(p.shape) for p in group["params"]]) for group in made.param_groups)
        return made

    monkeypatch.setattr(trainer.SoftPromptTrainer, "create_optimizer", watched)
    run(tmp_path, "llama", DePT(num_virtual_tokens=2, rank=3, max_positions=20, update_rate=0.1), max_steps=2)
    assert seen == [(0.01, [(2, 32)]), (pytest.approx(0.001), [(20, 3), (3, 32)])]
