"""How alike nearest words are among themselves: plain pairs, planted clusters, and random vectors as the control."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cosine_similarity, normalize

from softprompt.attached.attach import build
from softprompt.errors import SoftPromptError
from softprompt.explain.clusters import clusters_of, random_draws, together
from softprompt.explain.nearest import Nearest, lines_of, nearest_words, table_of
from softprompt.explain.nearest_page import nearest_page, together_figures
from softprompt.methods import method as method_of
from softprompt.storage.prompt import Prompt

from ..shared.models import model, tokenizer


def reading(k: int, seed: int = 0) -> Nearest:
    method, backbone = method_of("prompt_tuning", num_virtual_tokens=3), model("llama")
    made = build(backbone, tokenizer(), method)
    return nearest_words(Prompt(method, made, None, None, None, None, backbone, tokenizer()), k=k, seed=seed)  # type: ignore[arg-type]


def test_it_is_the_mean_over_all_pairs() -> None:
    found = reading(k=4)
    with torch.no_grad():
        table = model("llama").get_input_embeddings()(torch.arange(100))
    assert found.clusters is not None
    for row, value in zip(found.rows, found.clusters.rows, strict=True):
        words = [table[one.id] for one in row.neighbours]
        pairs = [float(cosine_similarity(one, other, dim=0)) for one, other in combinations(words, 2)]
        assert value == pytest.approx(sum(pairs) / len(pairs), abs=1e-5)
    assert found.clusters.mean == pytest.approx(sum(found.clusters.rows) / 3)


def test_a_cluster_stands_out_from_random_vectors() -> None:
    """Four tight groups of five among loose words: a row amid a group finds it, and a random vector words at random."""
    chance = torch.Generator().manual_seed(0)
    centres = torch.randn(4, 1, 64, generator=chance)
    groups = centres + 0.15 * torch.randn(4, 5, 64, generator=chance)
    words = normalize(torch.cat([groups.flatten(0, 1), torch.randn(500, 64, generator=chance)]), dim=-1)
    rows = 3 * centres[:4, 0]
    ids = (normalize(rows, dim=-1) @ words.T).topk(5, dim=-1).indices
    found = clusters_of(words, ids, random_draws(rows, 1))
    assert found is not None
    assert sorted(ids[1].tolist()) == [5, 6, 7, 8, 9]
    assert min(found.rows) > found.random + 3 * found.random_deviation
    # Rows that are random vectors themselves do not stand out.
    other = random_draws(rows, 2)[0]
    none = clusters_of(words, (normalize(other, dim=-1) @ words.T).topk(5, dim=-1).indices, random_draws(rows, 1))
    assert none is not None
    assert none.mean < found.random + 2 * found.random_deviation


@pytest.mark.parametrize(("count", "times"), [(1, 64), (3, 22), (64, 1), (65, 1)])
def test_random_vectors_have_the_rows_norms_and_are_seeded(count: int, times: int) -> None:
    rows = torch.randn(count, 8) * torch.arange(1, count + 1)[:, None]
    draws = random_draws(rows, 5)
    assert len(draws) == times
    for draw in draws:
        torch.testing.assert_close(draw.norm(dim=-1), rows.norm(dim=-1))
    assert all(torch.equal(one, other) for one, other in zip(draws, random_draws(rows, 5), strict=True))
    assert not torch.equal(draws[0], random_draws(rows, 6)[0])
    with pytest.raises(SoftPromptError, match="18 digits"):
        random_draws(rows, 1 << 70)


def test_both_numbers_are_told_on_the_page_and_in_json(tmp_path: Path) -> None:
    found = reading(k=3)
    assert found.clusters is not None
    own, random = f"{found.clusters.mean:.3f}", f"{found.clusters.random:.3f}"
    lines = " ".join(lines_of(found))
    assert f"{own} on average (66 random vectors of the rows' norms: {random}, deviation " in lines
    page = nearest_page(found, tmp_path / "page.html", "words").read_text()
    assert own in page
    assert f">{found.clusters.rows[2]:.2f}</td>" in page
    told = [row[1] for row in together_figures(found)[0].table.rows]
    assert told == [f"{one:.4g}" for one in found.clusters.rows]
    kept = json.loads(json.dumps(found.as_dict()))["clusters"]
    assert (kept["mean"], kept["random"], kept["random_vectors"]) == (found.clusters.mean, found.clusters.random, 66)


def test_one_neighbour_has_no_pair(tmp_path: Path) -> None:
    found = reading(k=1)
    assert found.clusters is None
    assert together_figures(found) == []
    columns, rows = table_of(found)
    assert {row[columns.index("together")] for row in rows} == {"-"}
    assert not [line for line in lines_of(found) if "together" in line]
    assert nearest_page(found, tmp_path / "page.html", "words").exists()
    assert float(together(torch.eye(2), torch.tensor([[0, 1]]))) == 0
