"""Where the rows of a prompt began: the words that they started from, and how far training moved them.

A prompt's file holds how far each row moved (`moved` in `prompt.json`). What a row started from is drawn again from the
prompt's method, options and seed, and believed where the distances to it are those that were recorded. A row that
started at a token's embedding, or at a label word's mean, started from that word; any other from none.

Distances are given in distances between words, the root mean square over all pairs of the vocabulary:

    D = sqrt(2 (mean_v |e(v)|^2 - |mean_v e(v)|^2))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from softprompt.attached.attach import build
from softprompt.errors import SoftPromptError
from softprompt.explain.vectors import as_text
from softprompt.guards.tokenizing import token_ids
from softprompt.storage.prompt import Prompt
from softprompt.storage.vectors import input_rows

# Below this share of the distance between words a row is where it began, for a reader of words.
STILL = 0.01
# How far a distance may be from the recorded one, as a share: the backbone may be in another type now.
_SAME = 1e-4


@dataclass(frozen=True)
class Beginning:
    """Where each row began.

    Attributes:
        words: that the rows started from; None for a row that started from none, or where that is not known.
        moved: how far each row is from its start, in distances between words; None where it was not recorded.
        note: what there is to say of it, or None.
    """

    words: tuple[str | None, ...]
    moved: tuple[float, ...] | None
    note: str | None


def words_apart(table: Tensor) -> float:
    """The distance between two words of a vocabulary `(V, E)`, the root mean square over all pairs."""
    spread = table.norm(dim=-1).double().square().mean() - table.mean(0, dtype=torch.float64).square().sum()
    return float((2 * spread).clamp(min=0).sqrt())


def beginning_of(prompt: Prompt, rows: Tensor, table: Tensor) -> Beginning:
    """Where the rows of a prompt began.

    Args:
        prompt: a loaded prompt, or a run's.
        rows: what stands in the input at its virtual tokens, `(P, E)`.
        table: the vocabulary, `(V, E)`.
    """
    unknown = (None,) * len(rows)
    recorded = prompt.meta.get("moved")
    if not isinstance(recorded, (list, tuple)) or len(recorded) != len(rows):
        return Beginning(unknown, None, "where its rows started was not recorded (an earlier version, or no training)")
    distances = torch.tensor(recorded, dtype=torch.float32)
    moved = tuple((distances / words_apart(table)).tolist())
    start = _drawn_again(prompt)
    if start is None or start.shape != rows.shape or not _agrees(start, rows, distances):
        return Beginning(unknown, moved, "what its rows started from cannot be drawn again, as another prompt")
    words = _words(start, table, prompt)
    return Beginning(words, moved, _still(moved) or (None if any(words) else "its rows started from no words"))


def _still(moved: Sequence[float]) -> str | None:
    """How many rows did not move, where there are some."""
    still = sum(one < STILL for one in moved)
    if not still:
        return None
    which = "nothing moved" if still == len(moved) else f"{still} of {len(moved)} rows did not move"
    return f"{which} (less than {STILL}): there the nearest words are those that training began with"


def _drawn_again(prompt: Prompt) -> Tensor | None:
    """What stood in the input before the first step, `(P, E)`, as the method draws it from the recorded seed."""
    seed = prompt.meta.get("seed")
    if not isinstance(seed, int):
        return None
    backbone = prompt.backbone
    words = () if prompt.task is None else prompt.task.label_words(backbone.is_encoder_decoder)
    try:
        made = build(backbone, prompt.method, label_words=words, seed=seed)
    except SoftPromptError:  # such as the folder that it started from, which is gone
        return None
    return input_rows(made, backbone.anatomy.embedding_size)


def _agrees(start: Tensor, rows: Tensor, distances: Tensor) -> bool:
    """Whether the rows are as far from a start as was recorded."""
    scale = float(start.norm(dim=-1).mean())
    return torch.allclose((rows - start).norm(dim=-1), distances, rtol=_SAME, atol=_SAME * scale)


def _words(start: Tensor, table: Tensor, prompt: Prompt) -> tuple[str | None, ...]:
    """For each row the token that it equals, or the label word whose mean it is."""
    nearest = ((normalize(start, dim=-1) @ table.T) / table.norm(dim=-1).clamp(min=1e-12)).argmax(-1)
    labels = {} if prompt.task is None else _label_means(prompt, table)
    found: list[str | None] = []
    for row, token in zip(start, nearest.tolist(), strict=True):
        if _equal(row, table[token]):
            found.append(as_text(prompt.tokenizer, token))
        else:
            found.append(next((word for word, mean in labels.items() if _equal(row, mean)), None))
    return tuple(found)


def _label_means(prompt: Prompt, table: Tensor) -> dict[str, Tensor]:
    assert prompt.task is not None
    words = prompt.task.label_words(prompt.backbone.is_encoder_decoder)
    pieces = {word: [one for one in token_ids(prompt.tokenizer, word) if one < len(table)] for word in words}
    return {word: table[ids].mean(0) for word, ids in pieces.items() if ids}


def _equal(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).norm() <= _SAME * other.norm())
