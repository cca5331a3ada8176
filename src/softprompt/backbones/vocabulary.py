"""A backbone's vocabulary as vectors, read piece by piece: whole it may be larger than all else in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from softprompt.backbones.resting import device_of
from softprompt.backbones.structure import vectors_of

PIECE = 1 << 14  # ids at once


def pieces(size: int) -> Iterator[range]:
    """The ids of a vocabulary in their order, a piece at a time."""
    for start in range(0, size, PIECE):
        yield range(start, min(start + PIECE, size))


@torch.no_grad()
def embed_ids(embedding: nn.Module, ids: Sequence[int]) -> Tensor:
    """Embeddings of vocabulary ids as the model's own input embedding gives them: fp32, `(len(ids), E)`."""
    rows = vectors_of(embedding(torch.tensor([list(ids)], dtype=torch.long, device=device_of(embedding))))[0]
    return rows.to(torch.float32)
