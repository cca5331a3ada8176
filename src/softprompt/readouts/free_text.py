"""Free text: trained on the answer's tokens, answered by generation up to the end token, greedily or with beams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TypedDict

import torch
from torch import Tensor

from softprompt.readouts.base import Batch, Item, Outcome, Readout, inputs
from softprompt.readouts.candidates import Candidates, Comparison
from softprompt.sites.attached import Attached, Rows
from softprompt.tasks.rows import Row
from softprompt.tasks.text.encoding import RowEncoder, continuation, pad


class Search(TypedDict, total=False):
    """Keywords of `generate`."""

    num_beams: int
    length_penalty: float


@dataclass(frozen=True)
class Beams:
    """A beam search, as transformers' `generate` has it.

    Attributes:
        number: of beginnings that are kept; one is greedy.
        length_penalty: to which power its length divides a text's log-likelihood.
    """

    number: int = 1
    length_penalty: float = 1.0

    def options(self) -> Search:
        """The keywords of `generate`; none where it is greedy."""
        return {} if self.number == 1 else {"num_beams": self.number, "length_penalty": self.length_penalty}


GREEDY = Beams()


class FreeText(Readout):
    """Answers in free text.

    Args:
        row_encoder: encodes the text before the answer.
        filler: the padding id.
        decoder_start: first id of an encoder-decoder's decoder, or None for a causal model.
        end: the id that closes an answer.
        space: whether a space stands before the answer.
        max_new_tokens: longest answer.
        lead: ids before every answer, which are no part of its text.

    Attributes:
        beams: how an answer is written.
    """

    name = "text"

    def __init__(
        self,
        row_encoder: RowEncoder,
        filler: int,
        decoder_start: int | None,
        end: int,
        *,
        space: bool,
        max_new_tokens: int,
        lead: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        self.row_encoder = row_encoder
        self.filler = filler
        self.end = end
        self.space = space
        self.max_new_tokens = max_new_tokens + len(lead)
        self.lead = lead
        self.beams = GREEDY
        self.scorer = Candidates(row_encoder, ((end,),), filler, decoder_start, compared=Comparison(vocabulary=True))

    def encode(self, row: Row) -> Item:
        """The text, and the answer's ids where the row has one; of an answer that is too long the beginning alone."""
        target: tuple[int, ...] = (self.end,)
        if row.label is not None:
            target = (*self.lead, *continuation(self.row_encoder.tokenizer, str(row.label), space=self.space), self.end)
        # What goes on has no end token: none of the beginning's tokens ends the answer.
        kept = target[: self.max_new_tokens]
        text = self.row_encoder.encode(row, room=self.max_new_tokens)
        return Item((text,), (kept,), None if row.label is None else 0, row, answer_cut=len(kept) < len(target))

    def collate(self, items: Sequence[Item], *, train: bool = False) -> Batch:
        """Text and answer while training; the text alone, padded on the left, to answer."""
        batch = self.scorer.collate(items, train=True)
        if not train:
            ids, mask = pad([item.texts[0].ids for item in items], self.filler, left=True)
            batch["asked"] = {
                "input_ids": ids,
                "attention_mask": torch.ones_like(ids) if mask is None else mask,
            }
        return batch

    def loss(self, prompted: Attached, batch: Batch, prompts: Rows = None) -> Tensor:
        """Cross-entropy of the answer's tokens."""
        if not self.z_loss:
            return self.scorer.loss(prompted, batch, prompts)
        return self.scorer.token_loss(prompted, batch, prompts, self.z_loss)

    def terms(self, item: Item) -> int:
        """As many terms as its answer has tokens."""
        return self.scorer.terms(item)

    def answer(self, prompted: Attached, batch: Batch, prompts: Rows = None) -> list[Outcome]:
        """Greedy answers, or the likeliest of the beams."""
        logs = self.scorer.token_logs(prompted, batch, prompts)
        losses = (-logs.sum(-1) / batch["target_mask"].sum(-1)).tolist()
        given = inputs(prompted, batch["asked"], prompts)
        made = prompted.generate(
            **given,
            max_new_tokens=self.max_new_tokens,
            do_sample=False,
            **self.beams.options(),
            eos_token_id=self.end,
            pad_token_id=self.filler,
        )
        width = 1 if self.scorer.decoder_start is not None else given["input_ids"].shape[1]
        answers = [self._own(row) for row in made[:, width:].tolist()]
        texts = self.row_encoder.tokenizer.batch_decode(answers, skip_special_tokens=True)
        return [
            Outcome(text.strip(), None, None if label is None else loss)
            for text, label, loss in zip(texts, batch["labels"], losses, strict=True)
        ]

    def _own(self, written: Sequence[int]) -> list[int]:
        """An answer's own tokens: without the lead, and without the filler of a row that ended before others.

        The filler of a tokenizer that has no padding is a token like any other, which decodes to text.
        """
        return [token for token in takewhile(lambda token: token != self.end, written) if token not in self.lead]
