"""Frozen states that do not depend on the prompt are computed once and kept.

With nothing inside the backbone to train (head only), that is everything below the head; with a prompt that leaves the
lowest layers alone, it is these layers; with one that stands behind the text of a causal model, the keys and values of
the text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from softprompt.attached.model import PromptedModel
from softprompt.inference.batches import Tick, batches
from softprompt.inference.prefilled import PrefilledItem
from softprompt.readouts import Batch, Item, Readout
from softprompt.readouts.free_text import FreeText
from softprompt.readouts.head import Head
from softprompt.sites.kept_room import Room
from softprompt.sites.kept_texts import KeptTexts
from softprompt.sites.layer_skipping import RecordedStates
from softprompt.sites.modes import evaluating
from softprompt.training.fitting.kept_files import frozen_part, kept_features, numbers_of


@dataclass(frozen=True)
class PooledItem(Item):
    """An encoded row with its pooled states, `(sequences, H)`."""

    features: Tensor


def keep_states_below(
    prompted: PromptedModel,
    readout: Readout,
    items: Sequence[Item],
    *,
    train: bool,
    batch_size: int,
    room: Room,
    tick: Tick | None = None,
) -> list[PrefilledItem] | None:
    """Compute once what the layers below the prompt make of each row.

    Args:
        prompted: the attached model, whose `first_layer` is above 0.
        readout: makes the batches.
        items: encoded rows; one that stands there twice is computed once.
        train: whether the rows are trained on, rather than answered.
        batch_size: rows a pass.
        room: takes the states.
        tick: told of every batch.

    Returns:
        The rows in their order; None where they are too many, where a row is more than one sequence or is answered in
        more than one pass, and of a family that cannot be begun above its first layer.
    """
    distinct = [*{id(item): item for item in items}.values()]
    if (isinstance(readout, FreeText) and not train) or _bytes_below(prompted, distinct) > room.left:
        return None
    found: dict[int, PrefilledItem] = {}
    own = frozen_part(prompted)
    run = readout.loss if train else readout.answer
    with torch.no_grad(), prompted.starting_at_layer() as states_below:
        for chosen, batch in batches(distinct, partial(readout.collate, train=train), batch_size, prompted, tick):
            if batch["input_ids"].shape[0] != len(chosen):
                return None  # several sequences a row
            key = room.key("states", prompted.first_layer, own, type(readout).__qualname__, train, numbers_of(batch))
            if (kept := room.find(key)) is None:
                made = _recorded(states_below, partial(run, prompted, batch))
                kept = None if made is None else room.keep(key, made)
            if kept is None:
                return None
            for index, states in zip(chosen, kept, strict=True):
                found[id(distinct[index])] = PrefilledItem.of(distinct[index], states)
    return [found[id(item)] for item in items]


def _recorded(states_below: RecordedStates, run: Callable[[], object]) -> list[Tensor] | None:
    """What a run of a batch records, a row each; None where it is no one pass through layers of plain states."""
    states_below.passes = 0
    run()
    return states_below.recorded if states_below.plain and states_below.passes == 1 else None


def stand_behind(items: Sequence[Item]) -> bool:
    """Whether in some row the virtual tokens stand behind a text half as long as all from there on, or longer."""
    texts = (text.ids for item in items for text in item.texts)
    first = ((next((place for place, one in enumerate(ids) if one < 0), 0), len(ids)) for ids in texts)
    return any(3 * place >= length for place, length in first)


def keep_texts(
    prompted: PromptedModel,
    readout: Readout,
    items: Sequence[Item],
    kept: KeptTexts,
    *,
    train: bool,
    batch_size: int,
    tick: Tick | None = None,
) -> None:
    """Compute once what the texts of rows come to, as long as there is room and the model's answers go that way.

    Args:
        prompted: the attached model.
        readout: makes the batches.
        items: encoded rows; texts that are the same are computed once.
        kept: takes what is computed.
        train: whether the rows are trained on, rather than answered.
        batch_size: rows a pass.
        tick: told of every batch.
    """
    if kept.is_full or (isinstance(readout, FreeText) and not train):
        return
    distinct = [*{id(item): item for item in items}.values()]
    run = readout.loss if train else readout.answer
    with torch.no_grad(), evaluating(prompted, readout), prompted.keeping_texts(kept), kept.filling():
        for _, batch in batches(distinct, partial(readout.collate, train=train), batch_size, prompted, tick):
            run(prompted, batch)
            if kept.is_full or not len(kept):
                return


def _bytes_below(prompted: PromptedModel, items: Sequence[Item]) -> int:
    """The size of the states of rows that enter a layer."""
    width, size = prompted.anatomy.hidden_size, next(prompted.backbone.parameters()).element_size()
    return sum(item.length + prompted.slots[0].count for item in items) * width * size


def keep_pooled(
    prompted: PromptedModel,
    head: Head,
    items: Sequence[Item],
    *,
    batch_size: int,
    room: Room,
    tick: Tick | None = None,
    prompts: str | None = None,
) -> list[PooledItem]:
    """Compute each row's pooled states once, with the prompt of a name where several are attached."""
    found: dict[int, PooledItem] = {}
    with torch.no_grad():
        for chosen, batch in batches(items, head.collate, batch_size, prompted, tick):
            rows = kept_features(room, prompted, head, batch, prompts)
            for place, index in enumerate(chosen):
                item = items[index]
                own = rows[batch["owners"] == place]
                found[index] = PooledItem(
                    item.texts,
                    item.targets,
                    item.label,
                    item.row,
                    own,
                    answer_cut=item.answer_cut,
                    ended=item.ended,
                    outside=item.outside,
                )
    return [found[index] for index in range(len(items))]


def collate_kept(head: Readout, items: Sequence[Item]) -> Batch:
    """A batch that carries features in the place of ids."""
    batch = head.collate(items)
    kept = [item.features for item in items if isinstance(item, PooledItem)]
    return batch if len(kept) != len(items) else {**batch, "features": torch.cat(kept)}
