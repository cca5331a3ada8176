r"""What the ranks share of a step: each takes its part of the batch, and what they found is added up once.

A batch's loss is a mean over n terms (rows, or tokens of answers). Rank r has n_r of them and their mean loss L_r, so

    dL/dp = sum_r (n_r / n) dL_r/dp,   n = sum_r n_r

is the gradient of the whole batch, whatever the parts: the sum of the ranks' weighted gradients is what one process
would have found, to rounding, and each rank clips it and takes the same step. The frozen model has no gradient, so what
is sent is as long as what is trained, and some numbers more: the losses, and whether a rank was asked to stop.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from softprompt.ranks import Ranks, here
from softprompt.readouts import Item, Readout


class Share(NamedTuple):
    """A rank's part of a batch.

    Attributes:
        items: its rows; one that counts nothing where the batch has fewer rows than there are ranks.
        weight: n_r / n; None where there is but one rank.
    """

    items: list[Item]
    weight: float | None


class Shares:
    """This rank's part of one training.

    Args:
        seed: of the training.
        stopping: whether this process was asked to stop.
        ranks: this process among the others; by default as it was joined.

    Attributes:
        several: whether there are other ranks.
        pending: weighted losses of the step in hand.
        asked: whether one of several ranks had been asked to stop when the last step was added up.
    """

    def __init__(self, seed: int, stopping: Callable[[], bool], ranks: Ranks | None = None) -> None:
        """See the class."""
        self.ranks, self.seed, self.stopping = ranks or here(), seed, stopping
        self.several = self.ranks.count > 1
        self.pending: list[float] = []
        self.asked = False

    def of(self, readout: Readout, items: list[Item]) -> Share:
        """This rank's part of a batch.

        Args:
            readout: whose loss is a mean of so many terms a row.
            items: of the whole batch; every rank draws the same.
        """
        if not self.several:
            return Share(items, None)
        own = self.ranks.mine(items)
        if not own:
            return Share([items[0]], 0.0)
        total = sum(readout.terms(item) for item in items)
        return Share(own, sum(readout.terms(item) for item in own) / total if total else 0.0)

    def weighted(self, loss: Tensor, whole: Tensor, weight: float) -> Tensor:
        """What this rank minimises of a batch, whose loss is remembered until the step is added up.

        Args:
            loss: of the readout, a scalar.
            whole: with what a course adds to it.
            weight: of this rank's part.
        """
        self.pending.append(float(loss.detach()) * weight)
        return whole * weight

    def add_up(self, parameters: Sequence[nn.Parameter]) -> list[float]:
        """Add up the ranks' gradients, in place, with what else a step has to know: one message, in fp32.

        A parameter that took part on no rank keeps no gradient, as in one process.

        Args:
            parameters: that are trained, in the same order on every rank.

        Returns:
            The losses of the step's batches, each the mean over all ranks' rows.
        """
        gradients = [torch.zeros_like(one) if one.grad is None else one.grad for one in parameters]
        took_part = [float(one.grad is not None) for one in parameters]
        told = [*self.pending, float(self.stopping()), *took_part]
        tail = torch.tensor(told, device=gradients[0].device)
        message = torch.cat([*(one.flatten().float() for one in gradients), tail])
        self.ranks.sum(message)
        *summed, tail = message.split([*(one.numel() for one in gradients), len(told)])
        numbers: list[float] = tail.tolist()
        losses, (asked, *took) = numbers[: len(self.pending)], numbers[len(self.pending) :]
        for parameter, gradient, some in zip(parameters, summed, took, strict=True):
            parameter.grad = gradient.view_as(parameter).to(parameter.dtype) if some else None
        self.pending.clear()
        self.asked = asked > 0
        return losses

    def stops(self) -> bool:
        """Whether the run was asked to stop: what all ranks heard at the last step."""
        return self.asked if self.several else self.stopping()

    @contextmanager
    def chance(self, step: int) -> Iterator[None]:
        """Let each rank draw its own dropout inside the block, the same after a resume.

        Outside, all ranks draw the same numbers as one process: rows, gates and first values are everybody's.

        Args:
            step: in hand.
        """
        if not self.several:
            yield
            return
        named = f"{self.seed}/{step}/{len(self.pending)}/{self.ranks.index}".encode()
        devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(int.from_bytes(hashlib.blake2b(named, digest_size=7).digest(), "big"))
            yield
