"""Answers of several tokens: label texts or a row's own choices, scored by the language model.

The score of a candidate is the sum of the log-probabilities of its tokens (and, where the template goes on after
`{choice}`, of what follows), teacher-forced. Training takes either the cross-entropy of the right answer's tokens
(`vocabulary`: Lester et al., T5) or the cross-entropy of the candidates' scores (`labels`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from softprompt.errors import SoftPromptError
from softprompt.readouts.base import Batch, Item, Readout, inputs
from softprompt.sites.attached import Attached, Rows
from softprompt.tasks.rows import Row
from softprompt.tasks.text.encoding import RowEncoder, pad


class Candidates(Readout):
    """Several tokens an answer.

    Args:
        row_encoder: encodes the text before the answer, or a whole candidate where the template has `{choice}`.
        targets: the ids of each label's text, or None where the candidates are the row's own choices.
        filler: the padding id.
        decoder_start: first id of an encoder-decoder's decoder, or None for a causal model.
        vocabulary: which loss.
        encode_choice: ids of a choice that is an answer of its own.
    """

    name = "text"

    def __init__(
        self,
        row_encoder: RowEncoder,
        targets: Sequence[tuple[int, ...]] | None,
        filler: int,
        decoder_start: int | None,
        *,
        vocabulary: bool,
        encode_choice: Callable[[str], tuple[int, ...]] | None = None,
    ) -> None:
        super().__init__()
        self.row_encoder = row_encoder
        self.targets = None if targets is None else tuple(targets)
        self.filler = filler
        self.decoder_start = decoder_start
        self.vocabulary = vocabulary
        self.encode_choice = encode_choice

    def encode(self, row: Row) -> Item:
        """One sequence a candidate, with the ids to score in each."""
        label = None if row.value is None else int(row.value)
        if self.row_encoder.template.has_choice:
            texts = tuple(self.row_encoder.encode(row, choice=choice) for choice in self._choices(row))
            return Item(texts, tuple(text.ids[text.choice :] for text in texts), label, row)
        targets = self.targets or self._encoded_choices(row)
        room = 0 if self.decoder_start is not None else max(len(ids) for ids in targets)
        text = self.row_encoder.encode(row, room=room)
        return Item((text,) * len(targets), targets, label, row)

    def collate(self, items: Sequence[Item], *, train: bool = False) -> Batch:
        """Every candidate a sequence; while training on the right answer's tokens, the right one alone."""
        chosen = [
            (owner, candidate)
            for owner, item in enumerate(items)
            for candidate in ([int(item.label or 0)] if train and self.vocabulary else range(len(item.targets)))
        ]
        texts = [items[o].texts[c] for o, c in chosen]
        targets = [items[o].targets[c] for o, c in chosen]
        goal, seen = pad(targets, 0)
        batch: Batch = {
            "owners": torch.tensor([owner for owner, _ in chosen]),
            "candidates": torch.tensor([candidate for _, candidate in chosen]),
            "targets": goal,
            "target_mask": torch.ones_like(goal) if seen is None else seen,
            "labels": [item.label for item in items],
            "sizes": [len(item.targets[int(item.label or 0)]) for item in items],
        }
        if self.decoder_start is not None:
            batch["input_ids"], batch["attention_mask"] = pad([text.ids for text in texts], self.filler)
            start = torch.full_like(goal[:, :1], self.decoder_start)
            batch["decoder_input_ids"] = torch.cat([start, goal[:, :-1]], dim=1)
            batch["columns"] = torch.arange(goal.shape[1]).expand(len(chosen), -1)
            return batch
        whole = self.row_encoder.template.has_choice
        starts = torch.tensor([text.choice if whole else len(text.ids) for text in texts])
        sequences = [t.ids if whole else (*t.ids, *goal_ids) for t, goal_ids in zip(texts, targets, strict=True)]
        batch["input_ids"], batch["attention_mask"] = pad(sequences, self.filler)
        ahead = torch.arange(goal.shape[1])[None, :]
        # The token at a column is predicted one column before it.
        batch["columns"] = (starts[:, None] - 1 + ahead).clamp(max=batch["input_ids"].shape[1] - 1)
        batch["conditioning_mask"] = torch.arange(batch["input_ids"].shape[1])[None, :] < starts[:, None]
        return batch

    def outputs(self, prompted: Attached, batch: Batch, prompts: Rows = None) -> Tensor:
        """Log-probabilities of the candidates, fp32, `(rows, most candidates)`; minus infinity for those absent."""
        logs = self.token_logs(prompted, batch, prompts)
        width = int(batch["candidates"].max()) + 1
        empty: Tensor = logs.new_full((len(batch["labels"]), width), float("-inf"))
        return empty.index_put((batch["owners"], batch["candidates"]), logs.sum(-1))

    def scores(self, outputs: Tensor, batch: Batch) -> Tensor:
        """As they are where they train over the vocabulary, else normalised over the candidates."""
        return outputs if self.vocabulary else outputs.log_softmax(-1)

    def loss_of(self, scores: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy of the candidates' scores, or of the right answer's tokens: the mean over these."""
        if not self.vocabulary:
            return super().loss_of(scores, batch)
        labels = torch.tensor(batch["labels"], device=scores.device)
        return -scores.gather(1, labels[:, None]).sum() / sum(batch["sizes"])

    def _choices(self, row: Row) -> tuple[str, ...]:
        if not row.choices:
            raise SoftPromptError(f"row {row.index}: a task of the kind 'choice' needs the row's choices")
        return row.choices

    def _encoded_choices(self, row: Row) -> tuple[tuple[int, ...], ...]:
        assert self.encode_choice is not None
        return tuple(self.encode_choice(choice) for choice in self._choices(row))

    def token_logs(self, prompted: Attached, batch: Batch, prompts: Rows) -> Tensor:
        """Log-probability of each target token, 0 at padding: fp32, shape `(sequences, tokens)`."""
        given = inputs(prompted, batch, prompts)
        if self.decoder_start is not None:
            given["decoder_input_ids"] = batch["decoder_input_ids"]
        logits: Tensor = prompted(**given, positions=batch["columns"], use_cache=False).logits.float()
        chosen: Tensor = logits.gather(-1, batch["targets"][..., None])[..., 0]
        seen: Tensor = batch["target_mask"]
        return (chosen - logits.logsumexp(-1)) * seen
