"""What every readout does: encode a row, batch the encodings, give a loss and an answer.

A readout asks three things of the attached model: `prompted(...)` with `positions`, `prompted.states(...)` and
`prompted.generate(...)`. It knows no method and no family.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from softprompt.tasks.encoding import Encoded, with_virtual
from softprompt.tasks.rows import Row

Batch: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Item:
    """One encoded row.

    Attributes:
        texts: its sequences: one, or one a candidate.
        targets: the answer's ids of each sequence, where the readout scores answers.
        label: class index, number, or index of the right candidate; None where the row has no label.
        row: the row itself.
    """

    texts: tuple[Encoded, ...]
    targets: tuple[tuple[int, ...], ...]
    label: int | float | None
    row: Row

    @property
    def length(self) -> int:
        """Columns of the longest sequence."""
        return max(len(text.ids) for text in self.texts)

    @property
    def truncated(self) -> bool:
        """Whether a field was cut."""
        return any(text.truncated for text in self.texts)


@dataclass(frozen=True)
class Outcome:
    """The answer to one row.

    Attributes:
        prediction: class index, number, candidate index or text.
        probabilities: of each class or candidate, where there are any.
        loss: of the right answer, where the row has a label.
    """

    prediction: int | float | str
    probabilities: tuple[float, ...] | None
    loss: float | None


class Readout(nn.Module, ABC):
    """Turns rows into batches and the attached model's outputs into losses and answers."""

    name: str

    @abstractmethod
    def encode(self, row: Row) -> Item:
        """Encode one row."""

    @abstractmethod
    def collate(self, items: Sequence[Item], *, train: bool = False) -> Batch:
        """Batch encoded rows; with `train` only what the loss needs."""

    @abstractmethod
    def loss(self, prompted: Any, batch: Batch, prompts: Any = None) -> Tensor:
        """Mean loss of a batch, a scalar in fp32."""

    @abstractmethod
    def answer(self, prompted: Any, batch: Batch, prompts: Any = None) -> list[Outcome]:
        """The answers to a batch."""

    def stored(self) -> dict[str, Tensor]:
        """The tensors that inference needs: none but for a linear head."""
        return {}

    def load_stored(self, tensors: dict[str, Tensor]) -> None:
        """Take what `stored` gave."""


def inputs(prompted: Any, batch: Batch, prompts: Any) -> dict[str, Any]:
    """The keywords of the attached model's forward: ids with their virtual tokens, mask and each row's prompt."""
    ids = batch["input_ids"]
    rows = prompted.rows(_repeated(prompts, batch), ids.shape[0])
    if bool((ids < 0).any()):
        bases = torch.tensor([prompted.slots[row].base for row in rows], device=ids.device)
        ids = with_virtual(ids, bases)
    given = {"input_ids": ids, "attention_mask": batch.get("attention_mask"), "prompts": list(rows)}
    if batch.get("conditioning_mask") is not None:
        given["conditioning_mask"] = batch["conditioning_mask"]
    return given


def _repeated(prompts: Any, batch: Batch) -> Any:
    """A prompt a row of the user's, given to each of the row's sequences."""
    owners = batch.get("owners")
    if prompts is None or isinstance(prompts, str) or owners is None:
        return prompts
    return [prompts[owner] for owner in owners.tolist()]


def outcomes(scores: Tensor, labels: Sequence[int | float | None]) -> list[Outcome]:
    """Answers from log-scores `(rows, classes)`; missing candidates have a score of minus infinity."""
    logs = scores.detach().float().log_softmax(-1)
    best = logs.argmax(-1).tolist()
    chances = logs.exp().tolist()
    losses = [None if label is None else -float(logs[row, int(label)]) for row, label in enumerate(labels)]
    return [Outcome(b, tuple(c), loss) for b, c, loss in zip(best, chances, losses, strict=True)]
