"""Nearest words: ranks, norms and repeats against a plain re-derivation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from softprompt.attached.attach import build
from softprompt.errors import SoftPromptError
from softprompt.explain.nearest import lines_of, nearest_words, table_of
from softprompt.methods import method as method_of
from softprompt.storage.prompt import Prompt
from softprompt.tasks import Task

from ..shared.models import model, tokenizer

TASK = Task(template="{text} {mask}", labels={"0": "w10", "1": "w11"})


def prompt_of(family: str, method: Any, rows: torch.Tensor | None = None, task: Task | None = TASK) -> Prompt:
    backbone = model(family)
    made = build(backbone, tokenizer(), method, label_words=("w10", "w11"))
    if rows is not None:
        made.load_stored({"table": rows})
    return Prompt(method, made, task, None, None, None, backbone, tokenizer())  # type: ignore[arg-type]


def vocabulary(family: str) -> torch.Tensor:
    with torch.no_grad():
        return model(family).get_input_embeddings()(torch.arange(100)).float()


@pytest.mark.parametrize("family", ["llama", "gemma3", "t5", "bert", "albert"])
def test_the_list_is_the_plain_ranking_by_cosine(family: str) -> None:
    table = vocabulary(family)
    rows = torch.randn(6, table.shape[1]) * 3
    found = nearest_words(prompt_of(family, method_of("prompt_tuning", num_virtual_tokens=6), rows), k=4)
    for reading, row in zip(found.rows, rows, strict=True):
        cosines = torch.stack([torch.nn.functional.cosine_similarity(row, word, dim=0) for word in table])
        order = cosines.argsort(descending=True)[:4]
        assert [one.id for one in reading.neighbours] == order.tolist()
        assert [one.cosine for one in reading.neighbours] == pytest.approx(cosines[order].tolist(), abs=1e-5)
        assert reading.norm_ratio == pytest.approx(float(row.norm() / table.norm(dim=-1).mean()), rel=1e-4)
        assert [one.token for one in reading.neighbours] == tokenizer().convert_ids_to_tokens(order.tolist())
    for label in found.labels:
        word = table[tokenizer().convert_tokens_to_ids(label.word)]
        ranks = []
        for row in rows:
            cosines = torch.nn.functional.cosine_similarity(row[None], table)
            own = torch.nn.functional.cosine_similarity(row, word, dim=0)
            ranks.append(int((cosines > own + 1e-6).sum()) + 1)
        assert label.rank == min(ranks)
        assert label.row == ranks.index(min(ranks))


def test_rows_that_are_words_find_them_at_rank_one() -> None:
    started = method_of("prompt_tuning", num_virtual_tokens=2, init="class_labels")
    found = nearest_words(prompt_of("llama", started), k=1)
    assert [row.neighbours[0].token for row in found.rows] == ["w10", "w11"]
    assert [row.neighbours[0].cosine for row in found.rows] == pytest.approx([1, 1])
    assert [(label.word, label.rank, label.row) for label in found.labels] == [("w10", 1, 0), ("w11", 1, 1)]
    assert all(row.control < 0.9 for row in found.rows)


def test_repeated_neighbours_are_counted_by_rows() -> None:
    table = vocabulary("llama")
    rows = table[[20, 20, 30, 40]] * torch.tensor([1.0, 2.0, 1.0, 1.0])[:, None]
    found = nearest_words(prompt_of("llama", method_of("prompt_tuning", num_virtual_tokens=4), rows))
    assert found.repeated == 0.5
    assert found.rows[1].norm_ratio == pytest.approx(2 * found.rows[0].norm_ratio)


def test_the_control_is_seeded_and_far_from_words() -> None:
    prompt = prompt_of("llama", method_of("prompt_tuning", num_virtual_tokens=4))
    one, same, other = (nearest_words(prompt, seed=seed) for seed in (0, 0, 1))
    assert one == same
    assert [row.control for row in one.rows] != [row.control for row in other.rows]
    assert one.rows[0].neighbours == other.rows[0].neighbours


@pytest.mark.parametrize("method", ["capt", "p_tuning_v2", "hard_prompt", "deep_prompt"])
def test_prompts_of_other_sites_are_refused(method: str) -> None:
    with pytest.raises(SoftPromptError, match="'stream'"):
        nearest_words(prompt_of("llama", method_of(method)))


def test_a_number_of_neighbours_may_be_numpys() -> None:
    found = nearest_words(prompt_of("llama", method_of("prompt_tuning", num_virtual_tokens=2)), k=np.int64(3))  # type: ignore[arg-type]
    assert [len(row.neighbours) for row in found.rows] == [3, 3]


@pytest.mark.parametrize("k", [0, -1, 2.5, "a"])
def test_a_number_of_neighbours_that_is_none_is_refused(k: Any) -> None:
    with pytest.raises(SoftPromptError, match="give a whole number, 1 or more"):
        nearest_words(prompt_of("llama", method_of("prompt_tuning", num_virtual_tokens=2)), k=k)


def test_the_table_is_narrow_where_nothing_was_measured_or_recorded() -> None:
    found = nearest_words(prompt_of("llama", method_of("prompt_tuning", num_virtual_tokens=3)), k=2)
    columns, cells = table_of(found)
    assert columns == ["row", "start", "moved", "norm ratio", "random", "together", "nearest words (cosine)"]
    assert [row[:3] for row in cells] == [["0", "-", "-"], ["1", "-", "-"], ["2", "-", "-"]]
    assert "not recorded" in lines_of(found)[0]
    assert not [line for line in lines_of(found) if line.startswith(("moved", "loss"))]
