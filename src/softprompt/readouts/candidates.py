"""Answers of several tokens: label texts or a row's own choices, scored by the language model.

The log-likelihood of a candidate is the sum of the log-probabilities of its tokens (and, where the template goes on
after `{choice}`, of what follows), teacher-forced; where one candidate begins another, of the end token behind each,
too (see `answers`). The candidate with the largest is the answer: lm-evaluation-harness's `acc`. Its `acc_norm` divides
by the answer's length in characters, as the harness does. Training takes either the cross-entropy of the right answer's
tokens (`vocabulary`: Lester et al., T5), to which T5X adds z log(Z)^2 with Z = sum_v exp(logit_v) at each token
(`z_loss`), or the cross-entropy of the candidates' scores (`labels`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from softprompt.errors import SoftPromptError
from softprompt.readouts.answers import NO_END, Ending, Ids
from softprompt.readouts.base import Batch, Item, Outcome, Readout
from softprompt.readouts.continuations import answer_logits, behind_texts, in_decoder, read_off
from softprompt.readouts.spec import Scoring
from softprompt.sites.attached import Attached, Rows
from softprompt.tasks.rows import Row
from softprompt.tasks.text.encoding import RowEncoder, pad


@dataclass(frozen=True)
class Comparison:
    """How candidates are compared, in training and to answer.

    Attributes:
        ending: where an end token belongs behind them.
        scoring: `acc` takes the log-likelihood, `acc_norm` that of a character.
        vocabulary: the training loss is the right answer's alone.
    """

    ending: Ending = NO_END
    scoring: Scoring = "acc"
    vocabulary: bool = False


class Candidates(Readout):
    """Several tokens an answer.

    Args:
        row_encoder: encodes the text before the answer, or a whole candidate where the template has `{choice}`.
        targets: the ids of each label's text, or None where the candidates are the row's own choices.
        filler: the padding id.
        decoder_start: first id of an encoder-decoder's decoder, or None for a causal model.
        compared: how they are compared.
        words: the labels' texts.
        encode_choice: ids of a choice that is an answer of its own.
    """

    name = "text"

    def __init__(
        self,
        row_encoder: RowEncoder,
        targets: Sequence[Ids] | None,
        filler: int,
        decoder_start: int | None,
        *,
        compared: Comparison,
        words: Sequence[str] = (),
        encode_choice: Callable[[str], Ids] | None = None,
    ) -> None:
        super().__init__()
        self.row_encoder = row_encoder
        self.targets: tuple[Ids, ...] | None = None
        self.ended = False
        if targets is not None:
            self.targets, self.ended = compared.ending.behind(targets)
        self.filler = filler
        self.decoder_start = decoder_start
        self.compared = compared
        self.generates = compared.vocabulary
        self.words = tuple(words)
        self.encode_choice = encode_choice

    @property
    def vocabulary(self) -> bool:
        """Whether the training loss is the right answer's alone."""
        return self.compared.vocabulary

    @property
    def answer_ids(self) -> tuple[tuple[int, ...], ...] | None:
        """The labels' texts; none where the candidates are a row's own."""
        return self.targets

    def encode(self, row: Row) -> Item:
        """One sequence a candidate, with the ids to score in each."""
        label = None if row.value is None else int(row.value)
        if self.row_encoder.template.has_choice:
            return self._in_place(row, label)
        targets, ended = (self.targets, self.ended) if self.targets is not None else self._encoded_choices(row)
        text = self.row_encoder.encode(row, room=self._room(targets))
        return Item((text,) * len(targets), targets, label, row, ended=ended)

    def collate(self, items: Sequence[Item], *, train: bool = False) -> Batch:
        """Every candidate a sequence; while training on the right answer's tokens, the right one alone."""
        chosen, batch = self._chosen(items, train)
        texts = [items[o].texts[c] for o, c in chosen]
        targets = [items[o].targets[c] for o, c in chosen]
        batch["owners"], goal = batch["rows"], batch["targets"]
        if self.decoder_start is not None:
            return batch | in_decoder([text.ids for text in texts], goal, self.filler, self.decoder_start)
        heads = [text.ids[: text.choice] for text in texts]  # all of it where the template has no choice
        sequences = [(*head, *answer) for head, answer in zip(heads, targets, strict=True)]
        return batch | behind_texts(sequences, [len(head) for head in heads], goal, self.filler)

    def outputs(self, prompted: Attached, batch: Batch, prompts: Rows = None) -> Tensor:
        """Log-likelihoods of the candidates, fp32, `(rows, most candidates)`; minus infinity for those absent."""
        logs = self.token_logs(prompted, batch, prompts)
        width = int(batch["candidates"].max()) + 1
        empty: Tensor = logs.new_full((len(batch["labels"]), width), float("-inf"))
        return empty.index_put((batch["rows"], batch["candidates"]), logs.sum(-1))

    def scores(self, outputs: Tensor, batch: Batch) -> Tensor:
        """As they are where they train over the vocabulary, else compared and normalised over the candidates."""
        return outputs if self.vocabulary else self._by(self.compared.scoring, outputs, batch).log_softmax(-1)

    def loss_of(self, scores: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy of the candidates' scores, or of the right answer's tokens: the mean over these."""
        if not self.vocabulary:
            return super().loss_of(scores, batch)
        labels = torch.tensor(batch["labels"], device=scores.device)
        return -scores.gather(1, labels[:, None]).sum() / sum(batch["sizes"])

    def terms(self, item: Item) -> int:
        """A row is one term, or as many as its right answer has tokens."""
        return len(item.targets[int(item.label or 0)]) if self.vocabulary else 1

    def outcomes_of(self, scores: Tensor, batch: Batch) -> list[Outcome]:
        """The candidate with the largest score, row by row."""
        compared = self._by(self.compared.scoring, scores, batch) if self.vocabulary else scores
        return super().outcomes_of(compared, batch)

    def loss(self, prompted: Attached, batch: Batch, prompts: Rows = None) -> Tensor:
        """Mean loss of a batch, a scalar in fp32; with `z_loss` that of the right answers' tokens."""
        if not self.z_loss:
            return super().loss(prompted, batch, prompts)
        return self.token_loss(prompted, batch, prompts, self.z_loss)

    def token_loss(self, prompted: Attached, batch: Batch, prompts: Rows, z_loss: float) -> Tensor:
        """The mean of -log p + z log(Z)^2 over the target tokens of a batch that has the right answers alone."""
        chosen, log_z = self.token_logits(prompted, batch, prompts)
        seen: Tensor = batch["target_mask"]
        return ((log_z - chosen + z_loss * log_z.square()) * seen).sum() / seen.sum()

    def answer(self, prompted: Attached, batch: Batch, prompts: Rows = None) -> list[Outcome]:
        """The answers to a batch, and what the other scoring would have answered."""
        outputs = self.outputs(prompted, batch, prompts).detach()
        found = self.outcomes_of(self.scores(outputs, batch), batch)
        # Both scorings are one, or one alone is calibrated.
        if len(set(map(len, self.words))) == 1 or self.calibration is not None:
            return found
        other: Scoring = "acc_norm" if self.compared.scoring == "acc" else "acc"
        best = self._by(other, outputs, batch).argmax(-1).tolist()
        return [replace(one, otherwise=(other, place)) for one, place in zip(found, best, strict=True)]

    def _by(self, scoring: Scoring, logs: Tensor, batch: Batch) -> Tensor:
        """Log-likelihoods `(rows, candidates)` as a scoring compares them."""
        if scoring == "acc":
            return logs
        characters, _ = pad(batch["characters"], 1)
        return logs / characters.to(logs)

    def _chosen(self, items: Sequence[Item], train: bool) -> tuple[list[tuple[int, int]], Batch]:
        """The candidates of a batch, as pairs of row and place, and what is known of them without their texts."""
        chosen = [
            (owner, candidate)
            for owner, item in enumerate(items)
            for candidate in ([int(item.label or 0)] if train and self.vocabulary else range(len(item.targets)))
        ]
        goal, seen = pad([items[o].targets[c] for o, c in chosen], 0)
        return chosen, {
            "rows": torch.tensor([owner for owner, _ in chosen]),
            "candidates": torch.tensor([candidate for _, candidate in chosen]),
            "targets": goal,
            "target_mask": torch.ones_like(goal) if seen is None else seen,
            "labels": [item.label for item in items],
            "sizes": [len(item.targets[int(item.label or 0)]) for item in items],
            "characters": [[max(len(word), 1) for word in self.words or item.row.choices or ()] for item in items],
        }

    def _room(self, targets: Sequence[Ids]) -> int:
        """Columns that a text leaves free for its answer."""
        return 0 if self.decoder_start is not None else max(len(ids) for ids in targets)

    def _in_place(self, row: Row, label: int | None) -> Item:
        """Of a template with `{choice}`, whose candidates stand in the text."""
        texts = [self.row_encoder.encode(row, choice=choice) for choice in self._choices(row)]
        answers = [() if text.choice is None else text.ids[text.choice :] for text in texts]
        _none_empty(row, answers)
        if self.decoder_start is None and any(text.choice == 0 for text in texts):
            raise SoftPromptError(
                f"template {str(self.row_encoder.template)!r}: nothing stands before {{choice}}, from which its first "
                "token could be told: write a word in front"
            )
        targets, ended = self.compared.ending.behind(answers)
        if ended and self.decoder_start is None:
            texts = [self.row_encoder.encode(row, choice=choice, room=1) for choice in self._choices(row)]
        return Item(tuple(texts), targets, label, row, ended=ended)

    def _choices(self, row: Row) -> tuple[str, ...]:
        if not row.choices:
            raise SoftPromptError(f"row {row.index}: a task of the kind 'choice' needs the row's choices")
        return row.choices

    def _encoded_choices(self, row: Row) -> tuple[tuple[Ids, ...], bool]:
        assert self.encode_choice is not None
        _none_empty(row, [choice.strip() for choice in self._choices(row)])
        return self.compared.ending.behind([self.encode_choice(choice) for choice in self._choices(row)])

    def token_logs(self, prompted: Attached, batch: Batch, prompts: Rows) -> Tensor:
        """Log-probability of each target token, 0 at padding: fp32, shape `(candidates, tokens)`."""
        chosen, log_z = self.token_logits(prompted, batch, prompts)
        seen: Tensor = batch["target_mask"]
        return (chosen - log_z) * seen

    def token_logits(self, prompted: Attached, batch: Batch, prompts: Rows) -> tuple[Tensor, Tensor]:
        """The logit of each target token, and log Z of the vocabulary there: fp32, shapes `(candidates, tokens)`."""
        return read_off(answer_logits(prompted, batch, prompts), batch["targets"], batch["target_mask"])


def _none_empty(row: Row, answers: Sequence[Ids | str]) -> None:
    empty = next((place for place, answer in enumerate(answers) if not answer), None)
    if empty is not None:
        raise SoftPromptError(f"row {row.index}: choice {empty} is empty: give it a text that can be scored")
