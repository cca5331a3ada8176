"""Gradients of the training loss that a course looks at without a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from softprompt.errors import SoftPromptError
from softprompt.inference.batches import batches
from softprompt.readouts import Item
from softprompt.sites.modes import evaluating
from softprompt.training.fitting.task_model import TaskModel


def gradients(
    trained: TaskModel, wanted: Sequence[Tensor], items: Sequence[Item], *, batch_size: int, check: Callable[[], None]
) -> Iterator[tuple[Tensor, ...]]:
    """The gradients of the mean loss of batch after batch, in the rows' order, dropout at rest.

    Args:
        trained: the prompt and its readout.
        wanted: tensors that require gradient and take part in the loss.
        items: encoded training rows.
        batch_size: rows a gradient.
        check: called before every batch; it may raise.

    Yields:
        For each batch the gradient with respect to each wanted tensor, of its shape.

    Raises:
        SoftPromptError: a gradient is not finite, so nothing can be told from it.
    """
    with evaluating(trained):
        collate = partial(trained.readout.collate, train=True)
        for places, batch in batches(items, collate, batch_size, trained.prompted, in_order=True):
            check()
            with torch.enable_grad():
                found = torch.autograd.grad(trained(batch), list(wanted))
            if not all(bool(torch.isfinite(one).all()) for one in found):
                raise SoftPromptError(
                    f"a gradient of the {len(places)} training rows from {places[0]} on is not finite: try "
                    "dtype float32"
                )
            yield found
