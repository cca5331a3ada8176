r"""A linear head on each word's own state: logits_w = W h_w + b.

A word is read at its first token, as BERT's tagging and P-Tuning v2 do (Devlin et al. 2019, section 5.3); on a causal
model at its last, the only one that has seen all of the word (our choice). No other token of it, no virtual token and
no special token is read, and the loss is the mean over the words. What follows a word stays unseen on a causal model.

A word without a column (its tokens were cut, or the tokenizer makes none of it) has no answer: -1, which is written
as `O` and is wrong wherever it is scored.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from softprompt.readouts.base import Batch, Item, Outcome
from softprompt.readouts.columns_head import ColumnsHead
from softprompt.tasks.rows import Row
from softprompt.tasks.text.words import WordsEncoder

_NONE = -100  # a word without a label


class TagHead(ColumnsHead):
    """A head over words.

    Args:
        row_encoder: encodes the words.
        hidden_size: H.
        outputs: C, how many tags there are.
        filler: the padding id.
    """

    def __init__(self, row_encoder: WordsEncoder, hidden_size: int, outputs: int, filler: int) -> None:
        super().__init__(row_encoder, hidden_size, outputs, "last" if row_encoder.last else "first", filler, None)

    def encode(self, row: Row) -> Item:
        """One sequence; its words know their columns."""
        return Item((self.row_encoder.encode(row),), (), None, row)

    def collate(self, items: Sequence[Item], *, train: bool = False) -> Batch:
        """See `ColumnsHead.collate`; with the labels of the words that are read, `(words,)`."""
        targets = torch.tensor([label for item in items for label in _labels(item)], dtype=torch.long)
        words = [item.texts[0].words for item in items]
        return {**super().collate(items, train=train), "targets": targets, "words": words}

    def loss_of(self, scores: Tensor, batch: Batch) -> Tensor:
        """Mean cross-entropy of the words that have a label."""
        targets: Tensor = batch["targets"]
        total = torch.nn.functional.nll_loss(scores, targets, ignore_index=_NONE, reduction="sum")
        return total / (targets != _NONE).sum().clamp(min=1)

    def terms(self, item: Item) -> int:
        """Its words that have a label and are read."""
        return sum(label != _NONE for label in _labels(item))

    def outcomes_of(self, scores: Tensor, batch: Batch) -> list[Outcome]:
        """Of each word the tag with the largest logit, and its probability; a row's loss is the mean of its words'."""
        chances, tags = scores.detach().float().exp().max(-1)
        right = scores.gather(-1, batch["targets"].clamp(min=0)[:, None])[:, 0]
        losses = torch.where(batch["targets"] == _NONE, torch.nan, -right).tolist()
        answers = iter(zip(tags.tolist(), chances.tolist(), losses, strict=True))
        found = []
        for words in batch["words"]:
            own = [(-1, 0.0, None) if column < 0 else next(answers) for column in words]
            known = [loss for _, _, loss in own if loss is not None and loss == loss]
            mean = sum(known) / len(known) if known else None
            found.append(Outcome(tuple(tag for tag, _, _ in own), tuple(chance for _, chance, _ in own), mean))
        return found


def _labels(item: Item) -> list[int]:
    """The labels of the words that are read."""
    words, label = item.texts[0].words, item.row.label
    labels = label if isinstance(label, tuple) else (_NONE,) * len(words)
    return [own for column, own in zip(words, labels, strict=True) if column >= 0]
