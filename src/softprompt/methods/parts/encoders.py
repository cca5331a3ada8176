"""Small nets that make a prompt's table while it is trained, and the producer that drops them afterwards."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from softprompt.methods.base import BuildContext
from softprompt.methods.parts import tables
from softprompt.sites.layout import Placement
from softprompt.sites.modes import evaluating
from softprompt.sites.producer import Producer, View

_L = TypeVar("_L", nn.Linear, nn.LSTMCell)


class MadeTable(Producer):
    """P virtual tokens whose embeddings `(P, E)` a net makes of a trained tensor; only they are stored.

    Attributes:
        table: what the net reads, its first axis P; the embeddings themselves once the net is dropped.
        net: makes `(P, E)` of it, or None.
    """

    static = True

    def __init__(self, table: Tensor, net: nn.Module | None, placement: Placement, *, net_rate: float = 1.0) -> None:
        """See the class.

        Args:
            table: the first values of what the net reads.
            net: the net, or None where `table` holds the embeddings.
            placement: where the virtual tokens stand when the text does not say.
            net_rate: the net's learning rate as a multiple of the table's.
        """
        super().__init__()
        self.table = nn.Parameter(table.clone())
        self.net = net
        self.net_rate = net_rate
        self.count = table.shape[0]
        self.placement = placement

    def embed(self, view: View) -> Tensor:
        """The embeddings, `(P, E)`."""
        made: Tensor = self.table if self.net is None else self.net(self.table)
        return made

    def rates(self) -> dict[str, float]:
        """The net's rate, where it has one of its own."""
        if self.net_rate == 1.0:
            return {}
        return {name: self.net_rate for name, _ in self.named_parameters() if name.startswith("net.")}

    @torch.no_grad()
    def stored(self) -> dict[str, Tensor]:
        """The embeddings as used, `(P, E)`: the net is dropped, and with it the dropout that it may train with."""
        if self.net is None:
            return {"table": self.table.detach()}
        with evaluating(self.net):
            return {"table": self.net(self.table).detach()}

    def load_stored(self, tensors: dict[str, Tensor]) -> None:
        """Take embeddings as used; a net has no more part in them."""
        self.net = None
        self.table = nn.Parameter(tensors["table"].clone())


def blank_table(count: int, placement: Placement, context: BuildContext) -> MadeTable:
    """A table `(count, E)` that stored embeddings will fill: no net is built for it."""
    return MadeTable(torch.zeros(count, context.anatomy.embedding_size), None, placement)


def initialised(layer: _L, context: BuildContext) -> _L:
    """A layer with torch's own initialisation, U(-n^-1/2, n^-1/2), drawn from the setting's generator.

    n is the number of inputs of a linear layer and the width of an LSTM cell.
    """
    width = layer.hidden_size if isinstance(layer, nn.LSTMCell) else layer.in_features
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(tables.uniform(parameter.shape, width**-0.5, context))
    return layer


def perceptron(inputs: int, width: int, outputs: int, activation: nn.Module, context: BuildContext) -> nn.Sequential:
    """Linear(inputs, width), the activation, Linear(width, outputs)."""
    return nn.Sequential(
        initialised(nn.Linear(inputs, width), context), activation, initialised(nn.Linear(width, outputs), context)
    )


class BiLSTM(nn.Module):
    """A bidirectional LSTM over the rows of one table: `(P, inputs)` to `(P, 2 * width)`.

    The same function and the same number of parameters as `torch.nn.LSTM`, made of cells because `torch.compile` cannot
    trace that module; with a handful of virtual tokens the loop costs nothing.
    """

    def __init__(self, inputs: int, width: int, layers: int, context: BuildContext) -> None:
        """Draw the cells: each layer's forward one, then its backward one."""
        super().__init__()
        sizes = [inputs, *[2 * width] * (layers - 1)]
        self.onward = nn.ModuleList()
        self.back = nn.ModuleList()
        for size in sizes:
            self.onward.append(initialised(nn.LSTMCell(size, width), context))
            self.back.append(initialised(nn.LSTMCell(size, width), context))

    def forward(self, rows: Tensor) -> Tensor:
        """Run over the rows in both directions, layer by layer."""
        for onward, back in zip(self.onward, self.back, strict=True):
            reversed_states = _run(back, rows.flip(0)).flip(0)
            rows = torch.cat([_run(onward, rows), reversed_states], dim=-1)
        return rows


def _run(cell: nn.Module, rows: Tensor) -> Tensor:
    """The states of an LSTM cell over rows `(P, inputs)`, from zeros: `(P, width)`."""
    state: tuple[Tensor, Tensor] | None = None
    states = []
    for row in rows.split(1):
        state = cell(row, state)
        states.append(state[0])
    return torch.cat(states)
