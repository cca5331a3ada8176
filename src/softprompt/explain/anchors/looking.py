"""Run rows through a prompt as its readout does, and let a note see each attention on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from softprompt.attached.attach import attach
from softprompt.backbones.backbone import Backbone
from softprompt.explain.anchors.columns import Structural, structural_tokens
from softprompt.explain.anchors.measure import Sequences
from softprompt.inference.batches import Tick, batches
from softprompt.readouts import Item, Readout
from softprompt.readouts.base import Batch
from softprompt.readouts.free_text import FreeText
from softprompt.readouts.mixture import Mixture
from softprompt.sites.modes import evaluating
from softprompt.sites.producer import Producer
from softprompt.sites.watching import watching
from softprompt.tasks import Row
from softprompt.tasks.text.encoding import RowEncoder


class SeesBatches(Protocol):
    """A note that is told of each batch."""

    def begin(self, sequences: Sequences) -> None:
        """What the next batch is made of."""

    def __call__(self, module: nn.Module, weights: Tensor, scores: Tensor) -> None:
        """What an attention gives; see `sites.watching.Note`."""


@torch.no_grad()
def look(
    backbone: Backbone,
    made: tuple[Producer, Readout],
    rows: Sequence[Row],
    note: SeesBatches,
    rule: Structural,
    *,
    batch_size: int = 32,
    tick: Tick | None = None,
) -> None:
    """Run some rows.

    Answers that are scored token by token run with their text, the right one alone where training takes it alone.

    Args:
        backbone: with nothing attached by this call yet.
        made: the prompt, and how its rows are read.
        rows: the rows.
        note: sees.
        rule: which tokens are structural.
        batch_size: rows a forward pass; one on a backbone where padding would move them.
        tick: told how many rows are done.

    Raises:
        SoftPromptError: attention cannot be seen, or the template's words cannot be told.
    """
    producer, own = made
    readout = own.scorer if isinstance(own, FreeText) else own
    items = [own.encode(row) for row in rows]

    def collate(chosen: list[Item]) -> Batch:
        return {**readout.collate(chosen, train=True), "items": chosen}

    with attach(backbone, producer) as prompted, evaluating(prompted, readout), watching(prompted.anatomy, note):
        size = 1 if prompted.moving else batch_size
        for places, batch in batches(items, collate, size, prompted, tick):
            note.begin(_sequences(own, batch, torch.tensor(places), rule))
            readout.outputs(prompted, batch, None)


def _sequences(readout: Readout, batch: Batch, places: Tensor, rule: Structural) -> Sequences:
    """What is known of a batch's sequences, in their order."""
    items: list[Item] = batch["items"]
    if "candidates" in batch:  # one a candidate, or the right one's alone
        owners: list[int] = batch["owners"].tolist()
        pairs = list(zip(owners, batch["candidates"].tolist(), strict=True))
    else:
        pairs = [(owner, place) for owner, item in enumerate(items) for place in range(len(item.texts))]
    flags = [_flags(rule, readout, items[owner], place) for owner, place in pairs]
    decoder = batch.get("target_mask") if "decoder_input_ids" in batch else None
    return Sequences(places[[owner for owner, _ in pairs]], flags, decoder)


def _flags(rule: Structural, readout: Readout, item: Item, place: int) -> tuple[bool, ...]:
    """Of each token of one of a row's texts whether it is structural."""
    own = readout.members[place] if isinstance(readout, Mixture) else readout
    encoder: object = own.row_encoder
    assert isinstance(encoder, RowEncoder)
    choice = item.row.choices[place] if encoder.template.has_choice and item.row.choices else None
    return structural_tokens(rule, encoder, item.texts[place], item.row.fields, choice)
