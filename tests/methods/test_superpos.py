"""SuperPos-Prompt: rows that are trained sums of words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest
import torch

from softprompt.attached.attach import attach, build
from softprompt.errors import Interrupted, SoftPromptError
from softprompt.methods import SuperPos

from ..shared.by_embeddings import FAMILIES, ROWS, agrees
from ..shared.models import UNK, ids, model, tokenizer
from ..shared.prompts import attached, close, every_family, logits, producer, tiny
from ..shared.runs import Interrupting, run

EXAMPLES = {
    "superpos": {"method": "superpos", "num_virtual_tokens": 3, "num_words": 6},
    "superpos_spread": {"method": "superpos", "num_virtual_tokens": 3, "num_words": 6, "init": "spread"},
    "superpos_span": {"method": "superpos", "num_virtual_tokens": 2, "num_words": 5, "train_basis": False},
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("train_basis", [True, False])
def test_the_equation(family: str, train_basis: bool) -> None:
    with attached(model(family), SuperPos(num_virtual_tokens=3, num_words=7, train_basis=train_basis)) as prompted:
        made = prompted.prompts[0]
        rows = []
        for i, weights in enumerate(made.table.detach()):
            basis = made.net.words + (made.net.update[i].detach() if train_basis else 0)
            rows.append(sum(w * word for w, word in zip(weights, basis, strict=True)))
        agrees(prompted, family, [torch.stack(rows)] * len(ROWS))


@torch.no_grad()
def test_the_basis_is_words_and_a_unit_weight_is_one_word() -> None:
    """The row that takes one word alone is that word in the text."""
    backbone = model("gemma3")
    embedding = backbone.get_input_embeddings()
    made = build(backbone, tokenizer(), SuperPos(num_virtual_tokens=2, num_words=9), seed=3)
    every = embedding(torch.arange(100))
    gaps = (made.net.words[:, None] - every[None]).abs().sum(-1).min(-1)
    assert float(gaps.values.max()) < 1e-6
    words = gaps.indices
    assert len(set(words.tolist())) == 9
    assert int(words.min()) > UNK
    assert not made.net.update.any()  # training starts at the words themselves
    made.table.zero_()
    made.table[0, 4] = made.table[1, 2] = 1.0
    row = ids(6)
    plain = backbone(input_ids=torch.cat([words[[4, 2]][None], row], 1)).logits[0, 2:]
    with attach(backbone, tokenizer(), made) as prompted:
        close(logits(prompted, row)[0], plain, 1e-5)


@torch.no_grad()
def test_a_row_starts_about_as_long_as_a_word() -> None:
    made = build(model("llama"), tokenizer(), SuperPos(num_virtual_tokens=200, num_words=64), seed=1)
    word = made.net.words.norm(dim=-1).mean()
    row = (made.table @ made.net.words).norm(dim=-1).mean()
    assert 0.7 < float(row / word) < 1.3


@pytest.mark.parametrize("init", ["word", "spread"])
def test_what_the_first_step_moves(init: Literal["word", "spread"]) -> None:
    """Of the words' updates one row a virtual token, or every one; of the weights all in both cases."""
    k, m = 3, 8
    with attached(model("llama"), SuperPos(num_virtual_tokens=k, num_words=m, init=init)) as prompted:
        made = prompted.prompts[0]
        weights = made.table.detach().clone()
        prompted(input_ids=ids(6)).logits[0, -1, 10].backward()
        assert bool((made.table.grad != 0).all())
        assert torch.equal(made.net.update.grad.abs().sum(-1) > 0, weights != 0)
        moved = {"word": k, "spread": k * m}[init]
        assert int((made.net.update.grad.abs().amax(-1) > 0).sum()) == moved


@torch.no_grad()
def test_a_start_that_moves_all_rows_is_near_a_word() -> None:
    k, m = 5, 64
    made = build(model("llama"), tokenizer(), SuperPos(num_virtual_tokens=k, num_words=m, init="spread"), seed=1)
    own = torch.eye(m).bool()[:k]
    assert torch.equal(made.table[own], torch.ones(k))
    torch.testing.assert_close(made.table[~own].abs(), torch.full((k * (m - 1),), 1 / m))
    assert 0.3 < float((made.table[~own] > 0).float().mean()) < 0.7
    added = (made.table @ made.net.words - made.net.words[:k]).norm(dim=-1).mean()
    assert 0.7 < float(added / made.net.words.norm(dim=-1).mean()) * m**0.5 < 1.3


def test_a_training_begun_with_other_words_is_not_gone_on_with(tmp_path: Path) -> None:
    """The words are drawn again by the seed, and versions that knew no `init` drew them from another vocabulary."""
    method = SuperPos(num_virtual_tokens=2, num_words=4)
    with pytest.raises(Interrupted):
        run(tmp_path, "llama", method, progress=Interrupting(3))
    path = tmp_path / "run" / "run.json"
    record = json.loads(path.read_text())
    del record["method_options"]["init"]
    path.write_text(json.dumps(record))
    with pytest.raises(SoftPromptError, match=r"method_options.init \(None then, word now\)"):
        run(tmp_path, "llama", method, resume=True)


@every_family
def test_scalars(family: str) -> None:
    for train_basis, trained in ((True, lambda e: 4 * 6 * (1 + e)), (False, lambda e: 4 * 6)):
        with tiny(family, SuperPos(num_virtual_tokens=4, num_words=6, train_basis=train_basis)) as prompted:
            e = prompted.anatomy.embedding_size
            assert sum(p.numel() for p in prompted.parameters() if p.requires_grad) == trained(e)
            assert sum(t.numel() for t in prompted.prompts[0].stored().values()) == 4 * e


@torch.no_grad()
def test_the_stored_rows_give_the_same_logits() -> None:
    method = SuperPos(num_virtual_tokens=3, num_words=6)
    made = producer(model("llama"), method)
    blank = build(model("llama"), tokenizer(), method, blank=True)
    blank.load_stored(made.stored())
    found = []
    for one in (made, blank):
        with attach(model("llama"), tokenizer(), one) as prompted:
            found.append(logits(prompted, ids(6))[0])
    close(*found, 1e-6)
