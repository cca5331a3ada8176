"""Frozen states that do not depend on the prompt are computed once and kept.

With nothing inside the backbone to train (head only), that is everything below the head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from softprompt.evaluation.predict import Tick, to_device
from softprompt.prompted import PromptedModel
from softprompt.tasks.readouts import Batch, Item, Readout
from softprompt.tasks.readouts.head import Head


@dataclass(frozen=True)
class Kept(Item):
    """An encoded row with its pooled states, `(sequences, H)`."""

    features: Tensor


def keep_features(
    prompted: PromptedModel, head: Head, items: Sequence[Item], *, batch_size: int, tick: Tick | None = None
) -> list[Kept]:
    """Compute each row's pooled states once."""
    found: dict[int, Kept] = {}
    order = sorted(range(len(items)), key=lambda index: -items[index].length)
    with torch.no_grad():
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            batch = to_device(head.collate([items[i] for i in chosen]), prompted)
            rows = head.features(prompted, batch)
            for place, index in enumerate(chosen):
                item = items[index]
                own = rows[batch["owners"] == place]
                found[index] = Kept(item.texts, item.targets, item.label, item.row, own)
            if tick is not None:
                tick(len(chosen))
    return [found[index] for index in range(len(items))]


def collate_kept(head: Readout, items: Sequence[Item]) -> Batch:
    """A batch that carries features in the place of ids."""
    batch: dict[str, Any] = head.collate(items)
    kept = [item.features for item in items if isinstance(item, Kept)]
    return batch if len(kept) != len(items) else {**batch, "features": torch.cat(kept)}
