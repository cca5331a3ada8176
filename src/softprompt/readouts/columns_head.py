r"""A linear head on the states of several columns of a row, each by itself: logits_i = W h_i + b.

Features, logits and what is made of them have one row a column that is read; `owners` tells whose they are. No virtual
token and no padding is read.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from softprompt.readouts.base import Batch, Item, inputs
from softprompt.readouts.head import Head
from softprompt.sites.attached import Attached, Rows
from softprompt.tasks.text.encoding import pad

_SAMPLE = 500  # rows, our choice
_MOST = 2 << 30  # bytes of features that are kept, our choice


class ColumnsHead(Head):
    """W in R^{C x H}, b in R^C, fp32, started at zero."""

    def scaled_on(self, items: Sequence[Item]) -> Sequence[Item]:
        """The first rows: they have many columns each."""
        return items[:_SAMPLE]

    def fits(self, items: Sequence[Sequence[Item]]) -> bool:
        """Whether the states of all columns may be kept."""
        columns = sum(len(text.words) for rows in items for item in rows for text in item.texts)
        return columns * self.linear.in_features * 4 <= _MOST

    def collate(self, items: Sequence[Item], *, train: bool = False) -> Batch:
        """Ids and mask, and the columns that are read, `(rows, most)`, with which of these there are in each row."""
        ids, mask = pad([item.texts[0].ids for item in items], self.filler)
        read = [[column for column in item.texts[0].words if column >= 0] for item in items]
        columns = torch.zeros(len(items), max(1, *map(len, read)), dtype=torch.long)
        for row, own in zip(columns, read, strict=True):
            row[: len(own)] = torch.tensor(own, dtype=torch.long)
        counts = torch.tensor([len(own) for own in read])
        return {
            "input_ids": ids,
            "attention_mask": mask,
            "columns": columns,
            "read": torch.arange(columns.shape[1]) < counts[:, None],
            "owners": torch.arange(len(items)).repeat_interleave(counts),
        }

    def pooled(self, prompted: Attached, batch: Batch, prompts: Rows = None) -> Tensor:
        """The states of the columns that are read, fp32, shape `(columns, H)`."""
        given = inputs(prompted, {name: batch[name] for name in ("input_ids", "attention_mask")}, prompts)
        states: Tensor = prompted.states(**given, positions=batch["columns"])
        return states[batch["read"]].float()
