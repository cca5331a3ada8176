"""A backbone's vocabulary: as vectors, read piece by piece, for whole it may be larger than all else in memory.

And as ids, for behind the last of them virtual tokens begin: no token of a text may have such an id.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from softprompt.backbones.resting import device_of
from softprompt.backbones.structure import vectors_of
from softprompt.errors import SoftPromptError

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


def token_count(tokenizer: PreTrainedTokenizerBase | None) -> int:
    """A number that is another one as soon as tokens are added to a tokenizer, and costs nothing to ask for."""
    if getattr(tokenizer, "is_fast", False):
        return len(tokenizer) if tokenizer is not None else 0
    return len(getattr(tokenizer, "added_tokens_decoder", ()))  # others count their words one by one


def check_tokens(tokenizer: PreTrainedTokenizerBase | None, rows: int) -> None:
    """See that a text can hold no id at which virtual tokens begin.

    Args:
        tokenizer: of the texts; None where there are none.
        rows: V, of the input embedding.

    Raises:
        SoftPromptError: the tokenizer has such ids.
    """
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        return
    added = max(tokenizer.added_tokens_decoder, default=-1)
    if max(len(tokenizer), added + 1) > rows:
        told = f"{len(tokenizer)} tokens" if len(tokenizer) > rows else f"the id {added:,}"
        raise SoftPromptError(
            f"the tokenizer has {told}, but the model embeds {rows}, and higher ids are virtual tokens: give the model "
            f"rows for them (model.resize_token_embeddings({max(len(tokenizer), added + 1)})), or its own tokenizer"
        )
