"""A vocabulary is read piece by piece, as the model's own embedding gives it."""

from __future__ import annotations

import ast
import copy
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

import softprompt as sp
from softprompt.attached.attach import attach
from softprompt.backbones import vocabulary
from softprompt.backbones.anatomy import read_anatomy
from softprompt.backbones.vocabulary import embed_ids, pieces
from softprompt.errors import SoftPromptError

from ..shared.imports import PACKAGE
from ..shared.models import fresh, ids, model, tokenizer
from ..shared.prompts import producer


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 16])
def test_the_pieces_are_the_whole_in_order(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "PIECE", 8)
    found = list(pieces(size))
    assert [token for piece in found for token in piece] == list(range(size))
    assert all(0 < len(piece) <= 8 for piece in found)


@pytest.mark.parametrize("family", ["gemma3", "bert"])
def test_embeddings_are_the_models_own_in_fp32(family: str) -> None:
    part = read_anatomy(model(family, dtype=torch.bfloat16))
    found = torch.cat([embed_ids(part.embedding, piece) for piece in pieces(part.vocab_size)])
    with torch.no_grad():
        own = part.embedding(torch.arange(part.vocab_size)[None])[0]
    assert found.dtype == torch.float32
    assert not found.requires_grad
    assert torch.equal(found, own.float())  # a scaled embedding (Gemma's) is scaled


def _grown(words: int) -> PreTrainedTokenizerFast:
    made = copy.deepcopy(tokenizer())
    made.add_tokens([f"new{index}" for index in range(words)])
    return made


def test_tokens_behind_the_vocabulary_are_refused_before_they_are_taken_for_a_prompt() -> None:
    backbone = fresh("llama")
    told = r"has 102 tokens, but the model embeds 100.*resize_token_embeddings\(102\)"
    with pytest.raises(SoftPromptError, match=told):
        attach(backbone, _grown(2), producer(backbone, "prompt_tuning"))
    backbone.resize_token_embeddings(102, mean_resizing=False)
    with attach(backbone, _grown(2), producer(backbone, "prompt_tuning")) as prompted:
        assert prompted.slots[0].base == 102
        assert prompted(**prompted.encode("w9 new1")).logits.shape == (1, 2, 102)


@pytest.mark.parametrize("method", ["prompt_tuning", "p_tuning_v2"])
def test_so_are_tokens_that_are_added_while_a_prompt_is_attached(method: str) -> None:
    backbone, words = fresh("llama"), _grown(0)
    with attach(backbone, words, producer(backbone, method)) as prompted:
        prompted(input_ids=ids(5))
        words.add_tokens(["new"])
        with pytest.raises(SoftPromptError, match="has 101 tokens, but the model embeds 100"):
            prompted(input_ids=torch.tensor([[9, 100]]))


def test_an_id_of_no_word_and_no_prompt_is_named() -> None:
    backbone = fresh("llama")
    for method in ("prompt_tuning", "p_tuning_v2"):
        with attach(backbone, tokenizer(), producer(backbone, method)) as prompted:
            own = [*range(100, 100 + prompted.slots[0].count)]
            with pytest.raises(SoftPromptError, match="id 150 is neither one of the backbone's 100 words"):
                prompted(input_ids=torch.tensor([[*own, 9, 150]]))


def test_an_embedding_that_is_replaced_or_grows_is_refused_and_tying_is_followed() -> None:
    backbone = fresh("llama")
    with attach(backbone, tokenizer(), producer(backbone, "prompt_tuning")) as prompted:
        untied = prompted(input_ids=ids(5)).logits
        backbone.lm_head.weight = backbone.get_input_embeddings().weight
        tied = prompted(input_ids=ids(5)).logits
        backbone.set_input_embeddings(copy.deepcopy(backbone.get_input_embeddings()))
        with pytest.raises(SoftPromptError, match="input embedding was replaced"):
            prompted(input_ids=ids(5))
    assert not torch.allclose(tied, untied)
    with attach(backbone, tokenizer(), producer(backbone, "prompt_tuning")) as prompted:
        torch.testing.assert_close(prompted(input_ids=ids(5)).logits, tied)
        backbone.resize_token_embeddings(110, mean_resizing=False)
        with pytest.raises(SoftPromptError, match="resized from 100 to 110"):
            prompted(input_ids=ids(5))


def test_a_stored_prompt_goes_over_a_grown_model_in_no_other_meaning(tmp_path: Path) -> None:
    backbone = fresh("llama")
    with sp.attach(backbone, tokenizer(), sp.PromptTuning(num_virtual_tokens=3)) as prompted:
        prompted.save_pretrained(tmp_path / "prompt")
    loaded = sp.load(tmp_path / "prompt", backbone, tokenizer())
    with loaded.attach() as prompted:
        before = prompted(input_ids=ids(5)).logits
    backbone.resize_token_embeddings(120, mean_resizing=False)
    with loaded.attach() as prompted:  # it was loaded before: its virtual tokens move behind the new words
        torch.testing.assert_close(prompted(input_ids=ids(5)).logits[..., :100], before)
    with pytest.raises(SoftPromptError, match="vocab_size is 100 there and 120 here"):
        sp.load(tmp_path / "prompt", backbone, tokenizer())


def test_nobody_else_walks_over_a_vocabulary() -> None:
    """A `range` with a step that ends at the size of a vocabulary or of an embedding stands here alone."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
                ends = ast.dump(node.args[1]) if len(node.args) == 3 else ""
                if any(word in ends for word in ("vocab", "embedding", "size")):
                    found.add(str(path.relative_to(PACKAGE)))
    assert found == {"backbones/vocabulary.py"}
