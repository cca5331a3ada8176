"""Ids that a model with a prompt goes on with: how likely given ones are, and which ones it writes.

What comes before conditions the prompt, what goes on does not; neither does padding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor
from transformers import StoppingCriteria, StoppingCriteriaList

from softprompt.attached.model import PromptedModel
from softprompt.inference.batches import Tick, batches
from softprompt.readouts.answers import Ids
from softprompt.readouts.base import Batch, inputs
from softprompt.readouts.build import decoder_start_of
from softprompt.readouts.continuations import answer_logits, behind_texts, in_decoder
from softprompt.sites.layout import Slots
from softprompt.sites.modes import evaluating
from softprompt.tasks.text.encoding import pad

Scored: TypeAlias = tuple[float, bool]


@dataclass(frozen=True)
class Pair:
    """A context and what goes on with it.

    Attributes:
        context: its ids, at least one.
        answer: likewise.
    """

    context: Ids
    answer: Ids

    @property
    def length(self) -> int:
        """Columns of both."""
        return len(self.context) + len(self.answer)


@dataclass(frozen=True)
class Context:
    """A context that is to be gone on with.

    Attributes:
        ids: its ids.
    """

    ids: Ids

    @property
    def length(self) -> int:
        """Its columns."""
        return len(self.ids)


@dataclass(frozen=True)
class Asking:
    """One prompt of an attached model, asked batch by batch.

    Attributes:
        prompted: the attached model; no encoder.
        prompt: the prompt's name.
        batch_size: rows a forward pass.
    """

    prompted: PromptedModel
    prompt: str
    batch_size: int

    @property
    def slots(self) -> Slots:
        """Where the prompt stands, and what it takes."""
        return self.prompted.slots[self.prompted.names.index(self.prompt)]

    @property
    def seq2seq(self) -> bool:
        """Whether a decoder goes on with what an encoder reads."""
        return self.prompted.anatomy.kind == "encoder-decoder"

    @property
    def filler(self) -> int:
        """The padding id, 0 where the tokenizer has none."""
        return int(self.prompted.tokenizer.pad_token_id or 0)

    def scores(self, pairs: Sequence[Pair], tick: Tick | None = None) -> list[Scored]:
        """The log-likelihood of each answer, the sum over its tokens, and whether greedy decoding would give it."""
        found: list[Scored] = [(0.0, False)] * len(pairs)
        with evaluating(self.prompted), torch.inference_mode():
            for chosen, batch in batches(pairs, self._collate, self.batch_size, self.prompted, tick):
                logits = answer_logits(self.prompted, batch, self.prompt).float()
                for place, one in zip(chosen, _scored(logits, batch), strict=True):
                    found[place] = one
        return found

    def _collate(self, pairs: Sequence[Pair]) -> Batch:
        goal, seen = pad([pair.answer for pair in pairs], 0)
        told: Batch = {"targets": goal, "target_mask": torch.ones_like(goal) if seen is None else seen}
        if self.seq2seq:
            start = decoder_start_of(self.prompted.backbone)
            return told | in_decoder([pair.context for pair in pairs], goal, self.filler, start)
        heads = [(*pair.context, *self._before_the_answer) for pair in pairs]
        sequences = [(*head, *pair.answer[:-1]) for head, pair in zip(heads, pairs, strict=True)]
        return told | behind_texts(sequences, [len(head) for head in heads], goal, self.filler)

    @property
    def _before_the_answer(self) -> Ids:
        """Stand-ins of virtual tokens that stand at the end of a text, and not behind what goes on with it."""
        return tuple(-1 - rank for rank in range(self.slots.count)) if self.slots.placement == "end" else ()

    def written(
        self,
        contexts: Sequence[Context],
        until: Sequence[str],
        options: Mapping[str, object],
        tick: Tick | None = None,
    ) -> list[Ids]:
        """What the model goes on with.

        Args:
            contexts: the contexts.
            until: texts that end it; what stands behind them is not cut off here.
            options: of `generate`.
            tick: called with the number of contexts done.
        """
        found: list[Ids] = [()] * len(contexts)
        generate: Callable[..., Tensor] = self.prompted.generate
        with evaluating(self.prompted), torch.inference_mode():
            collate = partial(_asked, filler=self.filler)
            for chosen, batch in batches(contexts, collate, self.batch_size, self.prompted, tick):
                width = 1 if self.seq2seq else batch["input_ids"].shape[1]
                ends = StoppingCriteriaList([_Ends(self.prompted, width, until)])
                given = {**inputs(self.prompted, batch, self.prompt), "pad_token_id": self.filler, **options}
                made = generate(**given, stopping_criteria=ends)
                for place, ids in zip(chosen, made[:, width:].tolist(), strict=True):
                    found[place] = tuple(ids)
        return found


class _Ends(StoppingCriteria):
    """Says of each row whether one of some texts stands in what is new of it."""

    def __init__(self, prompted: PromptedModel, width: int, until: Sequence[str]) -> None:
        self.tokenizer, self.width, self.until = prompted.tokenizer, width, [text for text in until if text]

    def __call__(self, input_ids: Tensor, scores: object, **_: object) -> Tensor:
        new = self.tokenizer.batch_decode(input_ids[:, self.width :].tolist())
        return torch.tensor([any(text in one for text in self.until) for one in new], device=input_ids.device)


def _scored(logits: Tensor, batch: Batch) -> list[Scored]:
    """Of logits `(B, A, V)` each answer's log-likelihood, and whether each of its tokens is the likeliest."""
    goal, seen = batch["targets"], batch["target_mask"].bool()
    logs = logits.gather(-1, goal[..., None])[..., 0] - logits.logsumexp(-1)
    greedy = ((logits.argmax(-1) == goal) | ~seen).all(-1)
    return list(zip(logs.masked_fill(~seen, 0.0).sum(-1).tolist(), greedy.tolist(), strict=True))


def _asked(contexts: Sequence[Context], filler: int) -> Batch:
    """Contexts, padded on the left."""
    ids, mask = pad([one.ids for one in contexts], filler, left=True)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids) if mask is None else mask}
