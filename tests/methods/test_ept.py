"""EPT equals its equation, token by token, and starts at words cut to its rank."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from softprompt.attached.attach import attach, build
from softprompt.errors import SoftPromptError
from softprompt.methods import EPT, method
from softprompt.methods.ept import OuterProduct
from softprompt.methods.parts import tables

from ..shared.by_embeddings import FAMILIES, ROWS, agrees
from ..shared.models import ids, model, tokenizer
from ..shared.prompts import attached, every_family, logits, tiny

EXAMPLES = {"ept": {"method": "ept", "num_virtual_tokens": 3, "pool": 2, "rank": 4}}

SMALL = EPT(num_virtual_tokens=4, pool=3, rank=5)


def by_hand(made: torch.nn.Module, pool: int) -> Tensor:
    """Each token is the sum of all tokens' rows, weighted by their products with its own coordinates; then blocks."""
    own = [one for block in made.table.detach() for one in block]
    rows = [(one * made.net.values.detach()) @ made.net.directions.detach() for one in own]
    mixed = [sum((one @ other) * row for other, row in zip(own, rows, strict=True)) for one in own]
    return torch.stack([sum(mixed[at : at + pool]) / pool for at in range(0, len(mixed), pool)])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_equation(family: str) -> None:
    with attached(model(family), SMALL) as prompted, torch.no_grad():
        made = prompted.prompts[0]
        generator = torch.Generator().manual_seed(2)
        for parameter in made.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
        agrees(prompted, family, [by_hand(made, 3)] * len(ROWS))


def test_training_starts_at_words_cut_to_the_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearest table of that rank to the words, in blocks' means; of the words' own rank these themselves."""
    drawn: list[np.ndarray] = []
    sampled = tables.sampled_vocabulary
    monkeypatch.setattr(
        tables,
        "sampled_vocabulary",
        lambda *given: drawn.append(sampled(*given).numpy()) or torch.from_numpy(drawn[-1]),
    )
    for rank in (5, 12):
        made = build(model("llama"), tokenizer(), SMALL.model_copy(update={"rank": rank}), seed=1)
        left, values, right = np.linalg.svd(drawn[-1], full_matrices=False)
        nearest = left[:, :rank] * values[:rank] @ right[:rank]
        torch.testing.assert_close(
            made.stored()["table"], torch.from_numpy(nearest.reshape(4, 3, -1).mean(1)), rtol=1e-4, atol=1e-5
        )
    assert np.allclose(nearest, drawn[-1], atol=1e-5)


def test_a_token_moves_the_others_too() -> None:
    """Which a plain product of low rank does not do."""
    made = build(model("llama"), tokenizer(), SMALL, seed=1)
    before = made.stored()["table"]
    with torch.no_grad():
        made.table[0, 0] += 0.3
    assert bool((made.stored()["table"] - before).abs().amax(-1).gt(1e-3).all())


def test_every_place_of_a_token_s_coordinates_is_trained() -> None:
    """They stand three times in the equation; the gradient is that of finite differences."""
    net = OuterProduct(torch.ones(3), torch.randn(3, 4, generator=torch.Generator().manual_seed(1))).double()
    coordinates = torch.randn(2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    assert torch.autograd.gradcheck(net, coordinates.requires_grad_())


@every_family
def test_scalars(family: str) -> None:
    with tiny(family, SMALL) as prompted:
        e = prompted.anatomy.embedding_size
        assert sum(p.numel() for p in prompted.parameters() if p.requires_grad) == 5 * (4 * 3 + 1 + e)
        assert sum(t.numel() for t in prompted.prompts[0].stored().values()) == 4 * e


@torch.no_grad()
def test_the_stored_rows_give_the_same_bits() -> None:
    made = build(model("llama"), tokenizer(), SMALL, seed=4)
    blank = build(model("llama"), tokenizer(), SMALL, blank=True)
    blank.load_stored(made.stored())
    found = []
    for one in (made, blank):
        with attach(model("llama"), tokenizer(), one) as prompted:
            found.append(logits(prompted, ids(6))[0])
    assert torch.equal(*found)


def test_a_rank_that_there_is_not_is_refused() -> None:
    with pytest.raises(SoftPromptError, match=r"rank 8 is more than the 6 rows of the long prompt: lower rank, or"):
        method("ept", num_virtual_tokens=3, pool=2)
    with pytest.raises(SoftPromptError, match="rank=17 is more than the backbone's embeddings are wide, 16: lower it"):
        build(model("albert"), tokenizer(), EPT(rank=17))
