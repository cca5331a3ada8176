"""A vocabulary is read piece by piece, as the model's own embedding gives it."""

from __future__ import annotations

import ast

import pytest
import torch

from softprompt.backbones import vocabulary
from softprompt.backbones.anatomy import read_anatomy
from softprompt.backbones.vocabulary import embed_ids, pieces

from ..shared.imports import PACKAGE
from ..shared.models import model


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
