r"""A linear head on the body's last states: logits = W h + b.

Pooling never looks at padding or virtual tokens: `last` is the last text token (causal models), `first` the first one
([CLS]), `mean` the mean over the text. Features are standardised by the training rows' mean and deviation before
training starts (our choice), and the stored head is folded back to plain W and b. A task of the kind `choice` has one
score a candidate; a regression one output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from softprompt.backbones.heads import Pooling
from softprompt.readouts.base import Batch, Item, Outcome, Readout, inputs, numbers, squared_error
from softprompt.sites.attached import Attached, Rows
from softprompt.tasks.rows import Row
from softprompt.tasks.text.encoding import RowEncoder, pad


class Head(Readout):
    """W in R^{C x H}, b in R^C, fp32, started at zero.

    Args:
        row_encoder: encodes the text.
        hidden_size: H.
        outputs: C; 1 for choices and regressions.
        pooling: see the module.
        filler: the padding id.
        bounds: of a regression, else None.
    """

    name = "head"
    found = ()
    generates = False
    kept: Callable[[Batch], Tensor] | None = None

    def __init__(
        self,
        row_encoder: RowEncoder,
        hidden_size: int,
        outputs: int,
        pooling: Pooling,
        filler: int,
        bounds: tuple[float, float] | None,
    ) -> None:
        super().__init__()
        self.row_encoder = row_encoder
        self.pooling = pooling
        self.filler = filler
        self.bounds = bounds
        self.linear = nn.Linear(hidden_size, outputs)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.shift = nn.Buffer(torch.zeros(hidden_size))
        self.scale = nn.Buffer(torch.ones(hidden_size))

    def encode(self, row: Row) -> Item:
        """One sequence, or one a choice."""
        label = None if row.value is None else float(row.value) if self.bounds else int(row.value)
        if self.row_encoder.template.has_choice:
            return Item(tuple(self.row_encoder.encode(row, choice=c) for c in row.choices or ()), (), label, row)
        return Item((self.row_encoder.encode(row),), (), label, row)

    def collate(self, items: Sequence[Item], *, train: bool = False) -> Batch:
        """Ids, mask, and which columns are text."""
        flat = [(owner, c, text) for owner, item in enumerate(items) for c, text in enumerate(item.texts)]
        ids, mask = pad([text.ids for _, _, text in flat], self.filler)
        return {
            "input_ids": ids,
            "attention_mask": mask,
            "text": (ids >= 0) & (torch.ones_like(ids) if mask is None else mask).bool(),
            "owners": torch.tensor([owner for owner, _, _ in flat]),
            "candidates": torch.tensor([candidate for _, candidate, _ in flat]),
            "labels": [item.label for item in items],
        }

    def features(self, prompted: Attached, batch: Batch, prompts: Rows = None) -> Tensor:
        """Pooled states, fp32, shape `(sequences, H)`."""
        if "features" in batch:
            kept: Tensor = batch["features"]
            return kept
        return self.pooled(prompted, batch, prompts) if self.kept is None else self.kept(batch)

    @contextmanager
    def looking_up(self, kept: Callable[[Batch], Tensor]) -> Iterator[None]:
        """Let `features` be what `kept` gives for the batches of the block."""
        self.kept = kept
        try:
            yield
        finally:
            self.kept = None

    def pooled(self, prompted: Attached, batch: Batch, prompts: Rows = None) -> Tensor:
        """The pooled states as the model makes them."""
        given, text = inputs(prompted, batch, prompts), batch["text"]
        if self.pooling == "mean":
            states: Tensor = prompted.states(**given).float()
            weight = text.to(states.dtype)
            mean: Tensor = torch.einsum("bn,bnh->bh", weight, states) / weight.sum(-1, keepdim=True)
            return mean
        columns = torch.arange(text.shape[1], device=text.device).expand_as(text)
        picked = columns.masked_fill(~text, -1).max(-1).values if self.pooling == "last" else text.long().argmax(-1)
        pooled: Tensor = prompted.states(**given, positions=picked[:, None])[:, 0].float()
        return pooled

    def scaled_on(self, items: Sequence[Item]) -> Sequence[Item]:
        """The training rows whose features tell mean and deviation: all."""
        return items

    def fits(self, items: Sequence[Sequence[Item]]) -> bool:
        """Whether the features of all rows may be kept, where nothing below the head is trained."""
        return True

    @torch.no_grad()
    def standardise(self, features: Tensor) -> None:
        """Take mean and deviation of the training rows' features `(rows, H)`."""
        self.shift.copy_(features.mean(0))
        self.scale.copy_(features.std(0, correction=0).clamp(min=1e-4))

    def outputs(self, prompted: Attached, batch: Batch, prompts: Rows = None) -> Tensor:
        """The features."""
        return self.features(prompted, batch, prompts)

    def scores(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Log-probabilities of the classes or choices, or a regression's number on the unit interval."""
        logits: Tensor = self.linear((outputs - self.shift) / self.scale)
        if self.row_encoder.template.has_choice:
            width = int(batch["candidates"].max()) + 1
            empty = logits.new_full((len(batch["labels"]), width), float("-inf"))
            logits = empty.index_put((batch["owners"], batch["candidates"]), logits[:, 0])
        return logits if self.bounds else logits.log_softmax(-1)

    def loss_of(self, scores: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy, or the squared error of a regression on the unit interval."""
        return squared_error(scores, batch, self.bounds) if self.bounds else super().loss_of(scores, batch)

    def outcomes_of(self, scores: Tensor, batch: Batch) -> list[Outcome]:
        """The class with the largest logit, or the number."""
        return numbers(scores, batch, self.bounds) if self.bounds else super().outcomes_of(scores, batch)

    def mix(self, scores: Tensor, log_weights: Tensor) -> Tensor:
        """Numbers are averaged."""
        if not self.bounds:
            return super().mix(scores, log_weights)
        return (scores * log_weights.exp()[:, None]).sum(1)

    @torch.no_grad()
    def stored(self) -> dict[str, Tensor]:
        """W and b on plain features: the standardisation is folded in."""
        weight = self.linear.weight / self.scale
        return {"head.weight": weight, "head.bias": self.linear.bias - weight @ self.shift}

    @torch.no_grad()
    def load_stored(self, tensors: dict[str, Tensor]) -> None:
        """Take plain W and b."""
        self.linear.weight.copy_(tensors["head.weight"])
        self.linear.bias.copy_(tensors["head.bias"])
        self.shift.zero_()
        self.scale.fill_(1.0)
