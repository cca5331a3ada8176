"""What readouts of one sequence a row share: the answer is read at one column, a mask or the last.

A model that decodes its answer reads it at the last of a few decoder columns instead, the same ones for every row.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from softprompt.readouts.base import Batch, Item, Readout
from softprompt.tasks.rows import Row
from softprompt.tasks.text.encoding import RowEncoder, pad


class SingleColumn(Readout):
    """One sequence a row, one column a sequence.

    Args:
        name: of the readout.
        row_encoder: encodes the text; with its mask where it has one.
        filler: the padding id.
        bounds: of a regression, else None.
        decoder_ids: what an encoder-decoder's decoder reads before the answer, else None.
    """

    def __init__(
        self,
        name: str,
        row_encoder: RowEncoder,
        filler: int,
        bounds: tuple[float, float] | None,
        decoder_ids: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.row_encoder = row_encoder
        self.filler = filler
        self.bounds = bounds
        self.decoder_ids = decoder_ids

    def encode(self, row: Row) -> Item:
        """One sequence; the answer is read at its mask, or at its last column."""
        text = self.row_encoder.encode(row)
        label = None if row.value is None else float(row.value) if self.bounds else int(row.value)
        return Item((text,), (), label, row)

    def collate(self, items: Sequence[Item], *, train: bool = False) -> Batch:
        """Ids, mask, the column of each answer and the labels."""
        ids, mask = pad([item.texts[0].ids for item in items], self.filler)
        batch: Batch = {"input_ids": ids, "attention_mask": mask, "labels": [item.label for item in items]}
        if self.decoder_ids is not None:
            batch["decoder_input_ids"] = torch.tensor(self.decoder_ids).expand(len(items), -1)
            batch["columns"] = torch.full((len(items), 1), len(self.decoder_ids) - 1)
            return batch
        causal = self.row_encoder.mask_id is None
        columns = [len(i.texts[0].ids) - 1 if causal else i.texts[0].mask for i in items]
        batch["columns"] = torch.tensor(columns)[:, None]
        return batch
