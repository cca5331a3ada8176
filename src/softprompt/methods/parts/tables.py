"""Initial values of prompt tables (METHODS: Prompt Tuning, initialisation)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from softprompt.errors import SoftPromptError
from softprompt.methods.base import Setting

# Lester et al. sample among the 5,000 most frequent pieces; SentencePiece ids are sorted by frequency.
POPULATION = 5000


def normal(shape: Sequence[int], std: float, setting: Setting) -> Tensor:
    """Draws from N(0, std^2), fp32."""
    return torch.randn(*shape, generator=setting.generator) * std


def uniform(shape: Sequence[int], bound: float, setting: Setting) -> Tensor:
    """Draws from the uniform distribution on [-bound, bound], fp32 (Lester et al.: 0.5)."""
    return (torch.rand(*shape, generator=setting.generator) * 2 - 1) * bound


def population(setting: Setting) -> Tensor:
    """Ids of the most frequent pieces, special tokens left out."""
    special = set(getattr(setting.tokenizer, "all_special_ids", None) or ())
    last = min(POPULATION + len(special), setting.anatomy.vocab_size)
    return torch.tensor([i for i in range(last) if i not in special] or list(range(last)))


def sampled_vocabulary(count: int, setting: Setting) -> Tensor:
    """Embeddings of tokens drawn from the most frequent pieces, special tokens left out: `(count, E)`.

    Without replacement unless there are fewer pieces than rows.
    """
    pieces = population(setting)
    if count <= len(pieces):
        chosen = pieces[torch.randperm(len(pieces), generator=setting.generator)[:count]]
    else:
        chosen = pieces[torch.randint(len(pieces), (count,), generator=setting.generator)]
    return setting.embed(chosen.tolist()).cpu()


def text(count: int, words: str, setting: Setting) -> Tensor:
    """Embeddings of a text's tokens, cut to `count` or filled with sampled vocabulary: `(count, E)`."""
    ids = setting.tokens(words)[:count]
    rows = setting.embed(ids).cpu()
    return rows if len(ids) == count else torch.cat([rows, sampled_vocabulary(count - len(ids), setting)])


def class_labels(count: int, setting: Setting) -> Tensor:
    """One row a label word (the mean over its pieces), the rest sampled vocabulary: `(count, E)`.

    Raises:
        SoftPromptError: no label words are known.
    """
    if not setting.label_words:
        raise SoftPromptError("init 'class_labels' needs a task with label words: choose another `init`")
    words = setting.label_words[:count]
    rows = torch.stack([setting.embed(setting.tokens(word)).mean(0).cpu() for word in words])
    return rows if len(words) == count else torch.cat([rows, sampled_vocabulary(count - len(words), setting)])


def saved(path: str, count: int, setting: Setting) -> Tensor:
    """The first `stream` table of a saved prompt, given its folder or its run's: `(count, E)`.

    Raises:
        SoftPromptError: no such prompt, or a table of another shape.
    """
    from pathlib import Path

    from softprompt.storage.places import folder_of
    from softprompt.storage.tensors import read_tensors

    tensors = read_tensors(folder_of(Path(path)) / "prompt.safetensors")
    table = tensors.get("table")
    wanted = (count, setting.anatomy.embedding_size)
    if table is None or tuple(table.shape) != wanted:
        found = "no table" if table is None else f"a table of shape {tuple(table.shape)}"
        raise SoftPromptError(f"{path}: {found}, but a table of shape {wanted} is needed to start from it")
    return table.to(torch.float32)
