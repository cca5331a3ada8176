"""Site `stream`: virtual ids are resolved by the model's own input embedding.

A pre-hook swaps ids at or above the vocabulary for a harmless one; a hook writes the prompt's vectors over the rows
they fetched. The embedding module itself is untouched, so weights, tied heads and state dicts stay the model's own.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from softprompt.sites.layout import Group
from softprompt.sites.producer import Producer, add_vectors, view_of, write_vectors


def mask_virtual(ids: Tensor, vocab_size: int) -> Tensor:
    """Ids with every virtual one replaced by 0, which every vocabulary has: shape as given."""
    return torch.where(ids < vocab_size, ids, 0)


def shown(given: object, vocab_size: int) -> object:
    """An argument of a module that looks ids up in a table of its own: ids with virtual ones replaced as above.

    Such tables tell each layer of the word itself (Gemma 3n and 4), or which experts it takes (DeepSeek V4). A virtual
    token is no word, so it is to them what an image's is to Gemma: the first id of the vocabulary.
    """
    if not isinstance(given, Tensor) or given.dtype not in (torch.int32, torch.int64):
        return given
    return mask_virtual(given, vocab_size)


def resolve(embedded: Tensor, groups: Sequence[Group], prompts: Sequence[Producer]) -> Tensor:
    """Write the prompts' embeddings over the virtual tokens of `embedded`, `(B, T, E)`, out of place.

    Every producer sees the text's own embeddings, never another prompt's; a producer may move those of its own text.
    """
    written, changes = [], []
    for group in groups:
        producer, view = prompts[group.prompt], view_of(embedded, group)
        vectors, change = producer.embed(view), producer.shift_text(view)
        if vectors is None:
            vectors = embedded.new_zeros(group.slots.shape[1], embedded.shape[-1])
        written.append((group, vectors))
        if change is not None:
            changes.append((group, change))
    out = write_vectors(embedded, written)
    for group, change in changes:
        out = add_vectors(out, group, change)
    return out
