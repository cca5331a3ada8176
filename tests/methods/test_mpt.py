"""MPT: PEFT's logits, a start that is the shared prompt itself, and what a target task goes on from."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from peft import MultitaskPromptTuningConfig, get_peft_model

from softprompt.attached.attach import attach, build
from softprompt.backbones.fingerprint import fingerprint
from softprompt.methods import MPT, PromptTuning
from softprompt.storage.prompt import Prompt, save

from ..shared.by_embeddings import FAMILIES, ROWS, agrees
from ..shared.models import ids, model, padded, tokenizer
from ..shared.prompts import attached, close, every_family, logits, loss_of, tiny
from ..shared.runs import run

EXAMPLES = {"mpt": {"method": "mpt", "num_virtual_tokens": 3, "rank": 2, "init": "random_uniform", "init_bound": 1.0}}

P = 5
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


@pytest.mark.parametrize("family", FAMILIES)
def test_the_equation(family: str) -> None:
    with attached(model(family), MPT(num_virtual_tokens=3, rank=2), seed=2) as prompted, torch.no_grad():
        made = prompted.prompts[0]
        for part in (made.table, made.columns, made.rows):
            part.normal_(generator=torch.Generator().manual_seed(3))
        by_hand = torch.zeros_like(made.table)
        for i in range(3):
            for j in range(made.table.shape[1]):
                by_hand[i, j] = made.table[i, j] * sum(made.columns[i, r] * made.rows[r, j] for r in range(2))
        agrees(prompted, family, [by_hand] * len(ROWS))


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3"])
@pytest.mark.parametrize("rank", [1, 3])
def test_pefts_language_models(family: str, rank: int) -> None:
    """Two tasks in one batch: PEFT's logits, with the virtual tokens' columns in front."""
    config = MultitaskPromptTuningConfig(
        task_type="CAUSAL_LM", num_virtual_tokens=P, num_tasks=2, num_ranks=rank, prompt_tuning_init="RANDOM"
    )
    peft = get_peft_model(copy.deepcopy(model(family)), config).eval()
    theirs = peft.prompt_encoder["default"]
    method = MPT(num_virtual_tokens=P, rank=rank)
    mine = {name: build(model(family), tokenizer(), method) for name in ("one", "two")}
    batch, mask = padded([ids(7, 1), ids(4, 2)], "right")
    with torch.no_grad():
        for index, part in enumerate(mine.values()):
            theirs.embedding.weight.normal_(generator=torch.Generator().manual_seed(1))
            for own, name in ((part.columns, "prefix_task_cols"), (part.rows, "prefix_task_rows")):
                own.copy_(getattr(theirs, name)[index].normal_())
            part.table.copy_(theirs.embedding.weight)
        expected = peft(input_ids=batch, attention_mask=mask, task_ids=torch.tensor([0, 1])).logits[:, P:]
        with attach(model(family), tokenizer(), mine) as prompted:
            found = logits(prompted, batch, mask, prompts=["one", "two"])
    for row, seen, one in zip(expected, mask, found, strict=True):
        close(one, row[seen.bool()], 1e-5)


@torch.no_grad()
@pytest.mark.parametrize("rank", [1, 3])
def test_training_starts_at_the_shared_prompt(rank: int) -> None:
    found = []
    for method in (MPT(num_virtual_tokens=4, rank=rank), PromptTuning(num_virtual_tokens=4)):
        with attach(model("llama"), tokenizer(), build(model("llama"), tokenizer(), method, seed=5)) as prompted:
            found.append(logits(prompted, ids(6))[0])
    close(*found, 1e-6)


def test_a_rank_is_used() -> None:
    """Columns of U that were equal would stay equal, and the factor of rank one."""
    made = build(model("llama"), tokenizer(), MPT(num_virtual_tokens=4, rank=2))
    optimizer = torch.optim.AdamW(made.parameters(), lr=0.05)
    with attach(model("llama"), tokenizer(), made) as prompted:
        prompted.train()
        for _ in range(5):
            optimizer.zero_grad()
            loss_of(prompted, ids(6)).backward()
            optimizer.step()
    values = torch.linalg.svdvals(made.columns @ made.rows).detach()
    assert values[1] > 1e-3 * values[0]


def test_a_target_goes_on_from_a_shared_prompt(tmp_path: Path) -> None:
    """Whole with `init_from`, or from P* alone; what is not trained stays."""
    method = MPT(num_virtual_tokens=2, train_shared=False)
    made = build(model("llama"), tokenizer(), method)
    with torch.no_grad():
        for name, one in made.state_dict().items():
            one.normal_(generator=torch.Generator().manual_seed(len(name)))
    backbone = model("llama")
    save(Prompt(method, made, None, None, None, fingerprint(backbone), backbone, tokenizer()), tmp_path / "shared")
    done = run(tmp_path / "b", "llama", method, init_from=str(tmp_path / "shared"), max_steps=1, learning_rate=1e-9)
    stored = done.prompt.producer.stored()
    assert torch.equal(stored["table"], made.table)
    close(stored["columns"], made.columns, 1e-6)
    assert done.metrics["trained_parameters"] == 2 + made.table.shape[1]
    saved = method.model_copy(update={"init": "saved", "init_prompt": str(tmp_path / "shared")})
    alone = build(model("llama"), tokenizer(), saved)
    assert torch.equal(alone.table, made.table)
    assert torch.equal(alone.columns @ alone.rows, torch.ones_like(alone.table))


def test_the_factors_have_a_rate_of_their_own() -> None:
    assert build(model("llama"), tokenizer(), MPT(factor_rate=1.5)).rates() == {"columns": 1.5, "rows": 1.5}
    assert build(model("llama"), tokenizer(), MPT()).rates() == {}


@every_family
def test_scalars(family: str) -> None:
    """k e + r (k + e) trained and stored, r (k + e) trained where the shared prompt stays."""
    for train_shared in (True, False):
        with tiny(family, MPT(num_virtual_tokens=4, rank=2, train_shared=train_shared)) as prompted:
            e = prompted.anatomy.embedding_size
            trained = sum(p.numel() for p in prompted.parameters() if p.requires_grad)
            assert trained == 2 * (4 + e) + 4 * e * train_shared
            assert sum(t.numel() for t in prompted.prompts[0].stored().values()) == 4 * e + 2 * (4 + e)
