"""A readout of several tasks: a batch holds rows of some of them, each read with its own task's prompt and readout.

The loss is the mean over the rows, as of one task: L = sum_t (n_t / n) L_t with n_t the batch's rows of task t. With
teachers (MPT, Wang et al., ICLR 2023) each task's loss gains lambda KL(p_teacher || p_student), of the probabilities of
its classes; the teacher is a prompt that was trained on the task alone (see `teachers`). (The paper's distance of
hidden states is left out, and its logits are those of the vocabulary.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from softprompt.readouts import Batch, Item, Readout
from softprompt.sites.attached import Attached, Rows
from softprompt.tasks import Row, Task


@dataclass(frozen=True)
class OfTask(Item):
    """An encoded row of one of several tasks.

    Attributes:
        place: of its task among the tasks.
        taught: the probability of each class as the task's teacher has it; None without one.
    """

    place: int
    taught: tuple[float, ...] | None = field(default=None, kw_only=True)

    @classmethod
    def of(cls, item: Item, place: int, taught: tuple[float, ...] | None = None) -> OfTask:
        """A row of a task."""
        known = {"answer_cut": item.answer_cut, "ended": item.ended, "outside": item.outside}
        return cls(item.texts, item.targets, item.label, item.row, place, taught=taught, **known)


@dataclass(frozen=True)
class Part:
    """One of the tasks.

    Attributes:
        task: with its data.
        readout: how its answers are read.
        prompt: the name of the attached prompt that serves it.
    """

    task: Task
    readout: Readout
    prompt: str


class Together(Readout):
    """The readouts of several tasks as one, to be trained; it answers for none of them."""

    name = "together"
    found = ()

    def __init__(self, parts: Sequence[Part], distillation: float) -> None:
        """See the module.

        Args:
            parts: the tasks.
            distillation: lambda.
        """
        super().__init__()
        self.parts, self.distillation = tuple(parts), distillation
        self.readouts = nn.ModuleList(part.readout for part in parts)

    def encode(self, row: Row) -> Item:
        """Rows are encoded by their tasks' own readouts."""
        raise TypeError("a row is encoded by the readout of its task")

    def collate(self, items: Sequence[Item], *, train: bool = False) -> Batch:
        """A batch a task that has rows among these, and what teachers say of its rows, `(rows, classes)`."""
        by_place: dict[int, list[OfTask]] = {}
        for item in items:
            assert isinstance(item, OfTask)
            by_place.setdefault(item.place, []).append(item)
        taught = {
            place: torch.tensor([item.taught for item in own])
            for place, own in by_place.items()
            if train and own[0].taught is not None
        }
        # A loss over the vocabulary needs the right answer alone; a teacher speaks of all.
        tasks = {
            place: self.parts[place].readout.collate(own, train=train and place not in taught)
            for place, own in by_place.items()
        }
        shares = {place: len(own) / len(items) for place, own in by_place.items()}
        return {"tasks": tasks, "shares": shares, "taught": taught}

    def loss(self, prompted: Attached, batch: Batch, prompts: Rows = None) -> Tensor:
        """The mean over the rows of all tasks, a scalar in fp32."""
        tasks: Mapping[int, Batch] = batch["tasks"]
        taught: Mapping[int, Tensor] = batch["taught"]
        losses = [
            batch["shares"][place] * self._loss(self.parts[place], prompted, own, taught.get(place))
            for place, own in tasks.items()
        ]
        return torch.stack(losses).sum()

    def _loss(self, part: Part, prompted: Attached, batch: Batch, taught: Tensor | None) -> Tensor:
        """Of one task's rows."""
        if taught is None:
            return part.readout.loss(prompted, batch, part.prompt)
        scores = part.readout.scored(prompted, batch, part.prompt)
        apart = nn.functional.kl_div(scores.log_softmax(-1), taught, reduction="batchmean")
        return part.readout.loss_of(scores, batch) + self.distillation * apart
