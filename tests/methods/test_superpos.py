"""SuperPos-Prompt: rows that are trained sums of words."""

from __future__ import annotations

import pytest
import torch

from softprompt.attached.attach import attach, build
from softprompt.methods import SuperPos

from ..shared.by_embeddings import FAMILIES, ROWS, agrees
from ..shared.models import UNK, ids, model, tokenizer
from ..shared.prompts import attached, close, every_family, logits, producer, tiny

EXAMPLES = {
    "superpos": {"method": "superpos", "num_virtual_tokens": 3, "num_words": 6},
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
