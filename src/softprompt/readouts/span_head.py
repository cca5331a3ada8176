r"""Two scores a token of a passage: p_start = softmax(W_s h + b_s), p_end = softmax(W_e h + b_e), over its tokens.

Devlin et al. 2019, sections 4.2 and 4.3: the answer is the span from i to j >= i with the largest p_start(i) p_end(j),
of so many tokens at most; the first token of the sequence ([CLS]) stands for no answer, and both ends lie there then.
The loss is the mean of both negative log-probabilities. An answer that lies in what was cut of a passage is not
learned from, and cannot be found.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from softprompt.readouts.base import Batch, Item, Outcome
from softprompt.readouts.columns_head import ColumnsHead
from softprompt.tasks.data.layouts import UNANSWERABLE
from softprompt.tasks.rows import Row
from softprompt.tasks.text.encoding import Encoded
from softprompt.tasks.text.passage import PassageEncoder

_NONE = -100  # an answer that is not known, or was cut


class SpanHead(ColumnsHead):
    """A head over the tokens of a passage.

    Args:
        row_encoder: encodes passage and question.
        hidden_size: H.
        filler: the padding id.
        longest: most tokens of an answer.
    """

    def __init__(self, row_encoder: PassageEncoder, hidden_size: int, filler: int, longest: int) -> None:
        super().__init__(row_encoder, hidden_size, 2, "first", filler, None)
        self.passage = row_encoder.read
        self.longest = longest

    def encode(self, row: Row) -> Item:
        """One sequence; its answer counts as cut where its tokens are not there."""
        text = self.row_encoder.encode(row)
        return Item((text,), (), None, row, answer_cut=row.label is not None and _ends(text, row) is None)

    def collate(self, items: Sequence[Item], *, train: bool = False) -> Batch:
        """See `ColumnsHead.collate`; with both ends of each answer, `(rows, 2)`."""
        ends = [_ends(item.texts[0], item.row) or (_NONE, _NONE) for item in items]
        told = {
            "passages": [item.row.fields[self.passage] for item in items],
            "spans": [i.texts[0].spans for i in items],
        }
        return {**super().collate(items, train=train), **told, "targets": torch.tensor(ends)}

    def scores(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Log-probabilities of start and end over the columns of each row, `(rows, most, 2)`."""
        logits: Tensor = self.linear((outputs - self.shift) / self.scale)
        read: Tensor = batch["read"]
        empty = logits.new_full((*read.shape, 2), float("-inf"))
        return empty.masked_scatter(read[..., None], logits).log_softmax(1)

    def loss_of(self, scores: Tensor, batch: Batch) -> Tensor:
        """Mean cross-entropy of both ends, of the rows whose answer is there."""
        targets: Tensor = batch["targets"]
        total = torch.nn.functional.nll_loss(scores, targets, ignore_index=_NONE, reduction="sum")
        return total / (targets != _NONE).sum().clamp(min=1)

    def terms(self, item: Item) -> int:
        """Both ends of an answer that is there."""
        return 0 if _ends(item.texts[0], item.row) is None else 2

    def outcomes_of(self, scores: Tensor, batch: Batch) -> list[Outcome]:
        """Of each row the likeliest span, or none, and its probability."""
        found = []
        logs, targets = scores.detach().float().cpu(), batch["targets"].tolist()
        for row, passage, spans, ends in zip(logs, batch["passages"], batch["spans"], targets, strict=True):
            start, end = row[: len(spans)].unbind(-1)
            both = start[:, None] + end
            allowed = torch.ones_like(both).triu().tril(self.longest - 1).bool()
            allowed[0, 1:] = False  # the first token begins no span of the passage
            best = int(both.masked_fill(~allowed, float("-inf")).argmax())
            first, last = divmod(best, len(spans))
            text = passage[spans[first][0] : spans[last][1]].strip() if best else UNANSWERABLE
            loss = None if ends[0] == _NONE else -float(start[ends[0]] + end[ends[1]]) / 2
            found.append(Outcome(text, (float(both[first, last].exp()),), loss))
        return found


def _ends(text: Encoded, row: Row) -> tuple[int, int] | None:
    """The first and the last token of the answer, by their places among those that are read; None where it is cut."""
    if not isinstance(row.label, tuple):
        return None
    if not row.label:
        return 0, 0
    start, end = row.label
    first = next((place for place, span in enumerate(text.spans) if span[0] <= start < span[1]), None)
    last = next((place for place, span in enumerate(text.spans) if span[0] < end <= span[1]), None)
    return None if first is None or last is None else (first, last)
