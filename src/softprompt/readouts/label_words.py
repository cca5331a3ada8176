"""Label words of one token, read at one column: the mask of an MLM or the place after a causal model's text.

p(c | x) is the softmax over the label words' logits. With `loss="vocabulary"` the softmax runs over the whole
vocabulary while training, and T5X's z log(Z)^2 may stand beside it (see `candidates`). A regression has two words, for
its bounds, and predicts their mean by probability (LM-BFF, section 3.2).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from softprompt.readouts.base import Batch, Outcome, inputs, shared_out
from softprompt.readouts.single_column import SingleColumn
from softprompt.sites.attached import Attached, Rows
from softprompt.tasks.text.encoding import RowEncoder


class LabelWords(SingleColumn):
    """One token a label."""

    found = ("head.calibration", "head.label_tokens")

    def __init__(
        self,
        name: str,
        row_encoder: RowEncoder,
        words: Sequence[int],
        filler: int,
        *,
        vocabulary: bool,
        bounds: tuple[float, float] | None,
    ) -> None:
        super().__init__(name, row_encoder, filler, bounds)
        self.words = tuple(words)
        self.vocabulary = vocabulary
        self.generates = vocabulary and bounds is None
        self.label_tokens: Tensor | None = None  # several tokens a label, `(C, k)`, where a search found them

    @property
    def answer_ids(self) -> tuple[tuple[int, ...], ...] | None:
        """Of a causal model's classes; none where a label is several tokens' sum."""
        one_each = self.name == "text" and self.label_tokens is None and not self.bounds
        return tuple((word,) for word in self.words) if one_each else None

    def outputs(self, prompted: Attached, batch: Batch, prompts: Rows = None) -> Tensor:
        """Vocabulary logits at the answers' columns alone, fp32, shape `(rows, V)`."""
        return self._logits(prompted, batch, prompts, None)

    def scored(self, prompted: Attached, batch: Batch, prompts: Rows = None) -> Tensor:
        """Of the words' own logits, where the others have no part in it."""
        if self.vocabulary and not self.bounds:
            return super().scored(prompted, batch, prompts)
        tokens = torch.tensor(self.words) if self.label_tokens is None else self.label_tokens
        ids = tokens.flatten().to(batch["input_ids"].device)
        logits = self._logits(prompted, batch, prompts, ids).view(-1, *tokens.shape)
        return (logits if self.label_tokens is None else logits.logsumexp(-1)).log_softmax(-1)

    def _logits(self, prompted: Attached, batch: Batch, prompts: Rows, ids: Tensor | None) -> Tensor:
        some = {} if ids is None else {"vocabulary": ids}
        given = inputs(prompted, batch, prompts)
        output = prompted(**given, positions=batch["columns"], **some, use_cache=False)
        logits: Tensor = output.logits[:, 0].float()
        return logits

    def scores(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Log-probabilities of the label words among themselves, or in the vocabulary: `(rows, words)`."""
        if self.label_tokens is not None:
            sets = self.label_tokens.to(outputs.device)
            mass = outputs[:, sets].logsumexp(-1)  # p(c | x) sums over the tokens of c (AutoPrompt)
            return mass - (outputs.logsumexp(-1, keepdim=True) if self.vocabulary else mass.logsumexp(-1, keepdim=True))
        words = list(self.words)
        if self.vocabulary and not self.bounds:
            return outputs.log_softmax(-1)[:, words]
        return outputs[:, words].log_softmax(-1)

    def loss_of(self, scores: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy; a regression's targets are shares of its two words."""
        if not self.bounds:
            return super().loss_of(scores, batch)
        low, high = self.bounds
        labels = torch.tensor(batch["labels"], device=scores.device)
        share = ((labels.float() - low) / (high - low)).clamp(0, 1)
        return -(torch.stack([1 - share, share], -1) * scores).sum(-1).mean()

    def loss(self, prompted: Attached, batch: Batch, prompts: Rows = None) -> Tensor:
        """Mean loss of a batch, a scalar in fp32."""
        if not self.z_loss:
            return super().loss(prompted, batch, prompts)
        outputs = self.outputs(prompted, batch, prompts)
        return self.loss_of(self.scores(outputs, batch), batch) + self.z_loss * outputs.logsumexp(-1).square().mean()

    def outcomes_of(self, scores: Tensor, batch: Batch) -> list[Outcome]:
        """The word with the largest probability, or the mean of the bounds by probability."""
        return shared_out(scores, batch, self.bounds) if self.bounds else super().outcomes_of(scores, batch)

    def stored(self) -> dict[str, Tensor]:
        """What every readout stores, and the label tokens where they were searched for."""
        return super().stored() | ({} if self.label_tokens is None else {"head.label_tokens": self.label_tokens})

    def load_stored(self, tensors: dict[str, Tensor]) -> None:
        """Take what `stored` gave."""
        super().load_stored(tensors)
        self.label_tokens = tensors.get("head.label_tokens")
