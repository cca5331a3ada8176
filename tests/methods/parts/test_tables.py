"""First values of a table: words, an interval, labels, a text, and the embeddings that the model uses."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from softprompt.attached.attach import attach
from softprompt.errors import SoftPromptError
from softprompt.methods import PromptTuning

from ...shared.models import UNK, model, tokenizer
from ...shared.prompts import close


def table(family: str = "llama", *, label_words: tuple[str, ...] = (), seed: int = 0, **options: Any) -> torch.Tensor:
    with attach(model(family), tokenizer(), PromptTuning(**options), label_words=label_words, seed=seed) as prompted:
        return prompted.prompts[0].table.detach().clone()


def words_of(rows: torch.Tensor, family: str = "llama") -> list[int]:
    """The word whose embedding each row is."""
    part = model(family).get_input_embeddings()
    every = part(torch.arange(100))
    found = (rows[:, None] - every[None]).abs().sum(-1).min(-1)
    assert float(found.values.max()) < 1e-6
    return found.indices.tolist()


def test_sampled_vocabulary_draws_words_without_replacement() -> None:
    with torch.no_grad():
        words = words_of(table("t5", num_virtual_tokens=95), "t5")
        assert sorted(words) == list(range(UNK + 1, 100))
        assert table("t5", num_virtual_tokens=120).shape == (120, 32)  # more rows than words: some come twice
        assert words_of(table(num_virtual_tokens=9, seed=1)) != words_of(table(num_virtual_tokens=9, seed=2))
        assert words_of(table(num_virtual_tokens=9, seed=1)) == words_of(table(num_virtual_tokens=9, seed=1))


def test_random_uniform_fills_its_interval() -> None:
    rows = table(num_virtual_tokens=40, init="random_uniform")
    assert rows.abs().max() <= 0.5
    assert rows.min() < -0.45
    assert rows.max() > 0.45
    assert table(num_virtual_tokens=40, init="random_uniform", init_bound=0.1).abs().max() <= 0.1


@torch.no_grad()
def test_class_labels_give_one_row_a_label_and_words_for_the_rest() -> None:
    rows = table(num_virtual_tokens=5, init="class_labels", label_words=("w10 w12", "w11"))
    embed = model("llama").get_input_embeddings()
    close(rows[0], embed(torch.tensor([10, 12])).mean(0), 1e-6)
    assert words_of(rows[1:])[0] == 11
    assert all(word > UNK for word in words_of(rows[2:]))
    with pytest.raises(SoftPromptError, match="label words"):
        table(num_virtual_tokens=5, init="class_labels")


@torch.no_grad()
def test_a_text_is_cut_or_filled() -> None:
    assert words_of(table(num_virtual_tokens=2, init="text", init_text="w20 w21 w22")) == [20, 21]
    filled = words_of(table(num_virtual_tokens=4, init="text", init_text="w20 w21"))
    assert filled[:2] == [20, 21]
    assert all(word > UNK for word in filled[2:])
    with pytest.raises(SoftPromptError, match="init_text"):
        table(init="text")


def test_embeddings_are_those_that_the_model_uses() -> None:
    """Gemma scales its embeddings: a row must be as large as the word's own."""
    with torch.no_grad():
        rows = table("gemma3", num_virtual_tokens=1, init="text", init_text="w33")
        embedding = model("gemma3").get_input_embeddings()
        close(rows[0], embedding(torch.tensor([33]))[0], 1e-6)
        assert not torch.allclose(rows[0], embedding.weight[33])
