"""Label words of one token, read at one column: the mask of an MLM or the place after a causal model's text.

p(c | x) is the softmax over the label words' logits. With `loss="vocabulary"` the softmax runs over the whole
vocabulary while training. A regression has two words, for its bounds, and predicts their mean by probability (LM-BFF,
section 3.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from softprompt.tasks.encoding import Coder, pad
from softprompt.tasks.readouts.base import Batch, Item, Outcome, Readout, inputs, outcomes
from softprompt.tasks.rows import Row


class Words(Readout):
    """One token a label."""

    def __init__(
        self,
        name: str,
        coder: Coder,
        words: Sequence[int],
        filler: int,
        *,
        vocabulary: bool,
        bounds: tuple[float, float] | None,
    ) -> None:
        super().__init__()
        self.name = name
        self.coder = coder
        self.words = tuple(words)
        self.filler = filler
        self.vocabulary = vocabulary
        self.bounds = bounds

    def encode(self, row: Row) -> Item:
        """One sequence; the answer is read at its mask, or at its last column."""
        text = self.coder.encode(row)
        label = None if row.label is None else float(row.label) if self.bounds else int(row.label)
        return Item((text,), (), label, row)

    def collate(self, items: Sequence[Item], *, train: bool = False) -> Batch:
        """Ids, mask, the column of each answer and the labels."""
        ids, mask = pad([item.texts[0].ids for item in items], self.filler)
        causal = self.coder.mask_id is None
        columns = [len(i.texts[0].ids) - 1 if causal else i.texts[0].mask for i in items]
        return {
            "input_ids": ids,
            "attention_mask": mask,
            "columns": torch.tensor(columns)[:, None],
            "labels": [item.label for item in items],
        }

    def loss(self, prompted: Any, batch: Batch, prompts: Any = None) -> Tensor:
        """Cross-entropy over the label words, or over the vocabulary."""
        logits = self._logits(prompted, batch, prompts)
        words = torch.tensor(self.words, device=logits.device)
        labels = torch.tensor(batch["labels"], device=logits.device)
        if self.bounds:
            low, high = self.bounds
            share = ((labels.float() - low) / (high - low)).clamp(0, 1)
            return torch.nn.functional.cross_entropy(logits[:, words], torch.stack([1 - share, share], -1))
        if self.vocabulary:
            return torch.nn.functional.cross_entropy(logits, words[labels])
        return torch.nn.functional.cross_entropy(logits[:, words], labels)

    def answer(self, prompted: Any, batch: Batch, prompts: Any = None) -> list[Outcome]:
        """The word with the largest logit, or the mean of the bounds by probability."""
        scores = self._logits(prompted, batch, prompts)[:, list(self.words)]
        if not self.bounds:
            return outcomes(scores, batch["labels"])
        low, high = self.bounds
        share = scores.softmax(-1)[:, 1]
        values = (low + (high - low) * share).tolist()
        chances = scores.softmax(-1).tolist()
        losses = [
            None if label is None else ((label - value) / (high - low)) ** 2
            for label, value in zip(batch["labels"], values, strict=True)
        ]
        return [Outcome(v, tuple(c), loss) for v, c, loss in zip(values, chances, losses, strict=True)]

    def _logits(self, prompted: Any, batch: Batch, prompts: Any) -> Tensor:
        """Vocabulary logits at the answers' columns alone, fp32, shape `(rows, V)`."""
        output = prompted(**inputs(prompted, batch, prompts), positions=batch["columns"], use_cache=False)
        logits: Tensor = output.logits[:, 0].float()
        return logits
