"""Frozen states that do not depend on the prompt are computed once and kept.

With nothing inside the backbone to train (head only), that is everything below the head; with a prompt that leaves the
lowest layers alone, it is these layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from softprompt.attached.model import PromptedModel
from softprompt.inference.batches import Tick, batches
from softprompt.readouts import Batch, Item, Readout
from softprompt.readouts.head import Head


@dataclass(frozen=True)
class PooledItem(Item):
    """An encoded row with its pooled states, `(sequences, H)`."""

    features: Tensor


@dataclass(frozen=True)
class PrefilledItem(Item):
    """An encoded row with the states that enter the first layer that the prompt touches, `(T, H)`."""

    states_below: Tensor


_MOST = 2 << 30  # bytes of states that are kept, our choice


def keep_states_below(
    prompted: PromptedModel, readout: Readout, items: Sequence[Item], *, batch_size: int, tick: Tick | None = None
) -> list[PrefilledItem] | None:
    """Compute once what the layers below the prompt make of each row; None where a family cannot be begun above them.

    Args:
        prompted: the attached model, whose `first_layer` is above 0.
        readout: makes the batches.
        items: encoded training rows.
        batch_size: rows a pass.
        tick: told of every batch.
    """
    width, size = prompted.anatomy.hidden_size, next(prompted.backbone.parameters()).element_size()
    columns = sum(item.length + prompted.slots[0].count for item in items)
    if columns * width * size > _MOST:
        return None
    found: dict[int, PrefilledItem] = {}
    collate = partial(readout.collate, train=True)
    with torch.no_grad(), prompted.starting_at_layer() as states_below:
        for chosen, batch in batches(items, collate, batch_size, prompted, tick):
            if batch["input_ids"].shape[0] != len(chosen):
                return None  # several sequences a row
            readout.loss(prompted, batch)
            if not states_below.plain:
                return None
            for index, states in zip(chosen, states_below.recorded, strict=True):
                item = items[index]
                found[index] = PrefilledItem(item.texts, item.targets, item.label, item.row, states.clone())
    return [found[index] for index in range(len(items))]


def keep_pooled(
    prompted: PromptedModel,
    head: Head,
    items: Sequence[Item],
    *,
    batch_size: int,
    tick: Tick | None = None,
    prompts: str | None = None,
) -> list[PooledItem]:
    """Compute each row's pooled states once, with the prompt of a name where several are attached."""
    found: dict[int, PooledItem] = {}
    with torch.no_grad():
        for chosen, batch in batches(items, head.collate, batch_size, prompted, tick):
            rows = head.features(prompted, batch, prompts)
            for place, index in enumerate(chosen):
                item = items[index]
                own = rows[batch["owners"] == place]
                found[index] = PooledItem(item.texts, item.targets, item.label, item.row, own)
    return [found[index] for index in range(len(items))]


def collate_kept(head: Readout, items: Sequence[Item]) -> Batch:
    """A batch that carries features in the place of ids."""
    batch = head.collate(items)
    kept = [item.features for item in items if isinstance(item, PooledItem)]
    return batch if len(kept) != len(items) else {**batch, "features": torch.cat(kept)}
