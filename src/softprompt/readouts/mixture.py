r"""A mixture of readouts that ask each row in ways of their own: p(y | x) = sum_t w_t p_t(y | x).

Qin and Eisner, "Learning How to Ask: Querying LMs with Mixtures of Soft Prompts", NAACL 2021,
<https://arxiv.org/abs/2104.06599>. All R members of a row stand in one batch, the t-th of row i at `R i + t`.

The weights are the softmax of R trained logits that start at zero. The paper alternates: responsibilities
q_t ~ w_t p_t(y | x), a gradient step on sum_t q_t (-log p_t), and w as the mean of q over an epoch. Descending
-log sum_t w_t p_t directly (our choice) takes that very gradient step, since its derivative with respect to a member is
q_t times the member's own, and moves logit t by the mean of q_t - w_t, which rests where the paper's rule does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from pydantic import JsonValue
from torch import Tensor, nn

from softprompt.readouts.base import Batch, Item, Outcome, Readout
from softprompt.sites.attached import Attached, Rows
from softprompt.tasks.rows import Row


@dataclass(frozen=True)
class MixtureItem(Item):
    """One row as every member asks it."""

    members: tuple[Item, ...]


class Mixture(Readout):
    """Several readouts of one kind as one.

    Args:
        members: one or more, without weights of their own; they differ in how they encode a row.
    """

    found = ()

    def __init__(self, members: Sequence[Readout]) -> None:
        super().__init__()
        self.members = tuple(members)
        self.name = self.members[0].name
        self.generates = False
        self.logits = nn.Parameter(torch.zeros(len(self.members)))

    @property
    def log_weights(self) -> Tensor:
        """Log w, shape `(R,)`."""
        return self.logits.log_softmax(0)

    def encode(self, row: Row) -> Item:
        """Every member's encoding."""
        own = tuple(member.encode(row) for member in self.members)
        texts = tuple(text for item in own for text in item.texts)
        first = own[0]
        told = {"answer_cut": first.answer_cut, "ended": first.ended, "outside": first.outside}
        return MixtureItem(texts, first.targets, first.label, row, own, **told)

    def collate(self, items: Sequence[Item], *, train: bool = False) -> Batch:
        """One batch of every row R times; its lists have R entries a row."""
        return self.members[0].collate([one for item in items for one in _asked(item)], train=train)

    def outputs(self, prompted: Attached, batch: Batch, prompts: Rows = None) -> Tensor:
        """Of every member, row after row."""
        return self.members[0].outputs(prompted, batch, self._each(prompts))

    def scored(self, prompted: Attached, batch: Batch, prompts: Rows = None) -> Tensor:
        """As `scores`."""
        return self._mixed(self.members[0].scored(prompted, batch, self._each(prompts)))

    def scores(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Of the mixture, shape `(rows, classes)`."""
        return self._mixed(self.members[0].scores(outputs, batch))

    def _each(self, prompts: Rows) -> Rows:
        """The prompt of each member's row."""
        if prompts is None or isinstance(prompts, str):
            return prompts
        names = prompts.tolist() if isinstance(prompts, Tensor) else prompts
        return [name for name in names for _ in self.members]

    def _mixed(self, each: Tensor) -> Tensor:
        return self.members[0].mix(each.view(-1, len(self.members), each.shape[-1]), self.log_weights)

    def loss_of(self, scores: Tensor, batch: Batch) -> Tensor:
        """The members' own loss, of the mixture's scores."""
        return self.members[0].loss_of(scores, self._once(batch))

    def terms(self, item: Item) -> int:
        """As each member's."""
        return self.members[0].terms(_asked(item)[0])

    def outcomes_of(self, scores: Tensor, batch: Batch) -> list[Outcome]:
        """The mixture's answers."""
        return self.members[0].outcomes_of(scores, self._once(batch))

    @torch.no_grad()
    def responsibilities(self, outputs: Tensor, batch: Batch) -> Tensor:
        """q: the share that each member has in the probability of the label, shape `(rows, R)`."""
        once, count = self._once(batch), len(self.members)
        each = self.members[0].scores(outputs, batch).view(len(once["labels"]), count, -1)
        labels = torch.tensor(once["labels"], device=each.device)[:, None, None].expand(-1, count, 1)
        return (each.gather(-1, labels)[..., 0] + self.log_weights).softmax(-1)

    def report(self) -> dict[str, JsonValue]:
        """The weights, and exp(H(w)): how many prompts the mixture is worth."""
        log_weights = self.log_weights.detach().double()
        weights = log_weights.exp()
        effective = float(torch.exp(-(weights * log_weights).sum()))
        return {"mixture_weights": weights.tolist(), "effective_prompts": effective}

    @torch.no_grad()
    def stored(self) -> dict[str, Tensor]:
        """The weights' logits."""
        return {"head.mixture": self.logits.detach()}

    @torch.no_grad()
    def load_stored(self, tensors: dict[str, Tensor]) -> None:
        """Take the weights' logits."""
        self.logits.copy_(tensors["head.mixture"])

    def _once(self, batch: Batch) -> Batch:
        """The batch's lists with one entry a row."""
        return {name: value[:: len(self.members)] for name, value in batch.items() if isinstance(value, list)}


def _asked(item: Item) -> tuple[Item, ...]:
    assert isinstance(item, MixtureItem)
    return item.members
