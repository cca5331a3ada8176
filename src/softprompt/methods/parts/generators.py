"""Nets that make a prompt of the states of an instance: pooling over its own text, then a bottleneck.

Letters: U units, T columns, N a unit's text tokens, k virtual tokens, H width of the states, m width of the bottleneck.
Only the columns of `text` are ever read: padding, virtual tokens and answers have no part in any result.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from softprompt.backbones.anatomy import BackboneKind
from softprompt.errors import SoftPromptError
from softprompt.methods.base import BuildContext
from softprompt.methods.parts import tables
from softprompt.methods.parts.encoders import initialised
from softprompt.sites.producer import View

Token = Literal["first", "last", "mean"]
Pool = Literal["average", "max", "first", "last"]


def bins(text: Tensor, count: int) -> Tensor:
    """The adaptive pooling bins of each unit's own text, bool, shape `(U, k, T)`.

    As `torch.nn.AdaptiveAvgPool1d` cuts N values into k bins: bin i holds the tokens from floor(i N / k) to
    ceil((i + 1) N / k), so bins overlap where N is no multiple of k, and repeat tokens where N is less than k.

    Args:
        text: the columns that may be read, bool, shape `(U, T)`.
        count: k, the number of bins.
    """
    length = text.sum(-1)[:, None, None]  # [U, 1, 1]
    rank = (text.cumsum(-1) - 1)[:, None, :]  # [U, 1, T] a text token's place among its unit's
    place = torch.arange(count, device=text.device)[None, :, None]
    start, end = place * length // count, ((place + 1) * length + count - 1) // count
    return text[:, None, :] & (rank >= start) & (rank < end)


def adaptive_average(states: Tensor, text: Tensor, count: int) -> Tensor:
    """Adaptive average pooling of states `(U, T, H)` over each unit's own text: `(U, k, H)`; zero without text."""
    weight = bins(text, count).to(states.dtype)
    return (weight / weight.sum(-1, keepdim=True).clamp(min=1.0)) @ states


def adaptive_max(states: Tensor, text: Tensor, count: int) -> Tensor:
    """Adaptive max pooling of states `(U, T, H)` over each unit's own text: `(U, k, H)`; zero without text."""
    inside = bins(text, count)
    lowest = torch.finfo(states.dtype).min
    # Bin by bin: all at once would hold k copies of the states.
    pooled = [states.masked_fill(~inside[:, place, :, None], lowest).amax(1) for place in range(count)]
    return torch.where(text.any(-1)[:, None, None], torch.stack(pooled, dim=1), 0.0)


def sentence(states: Tensor, text: Tensor, at: Token) -> Tensor:
    """One state for each unit, shape `(U, H)`: of its first or last text token, or their mean; zero without text."""
    if at == "mean":
        return adaptive_average(states, text, 1)[:, 0]
    rank = text.cumsum(-1)
    wanted = 1 if at == "first" else rank[:, -1:]
    weight = (text & (rank == wanted)).to(states.dtype)
    return torch.einsum("ut,uth->uh", weight, states)


def sentence_token(kind: BackboneKind) -> Literal["first", "last"]:
    """Where a backbone's sentence state stands: `[CLS]` on an encoder, else the last token, which has seen all."""
    return "first" if kind == "encoder" else "last"


class Generator(nn.Module):
    """A prompt of k vectors from an instance's states: down to m, pool to k, ReLU, up to H, dropout.

    G(H) = W_up relu(Pool_k(W_down H + b_down)) + b_up         average, max: 2 H m + m + H scalars
    G(H) = W_up relu(W_down h + b_down) + b_up, as (k, H)      first, last: H m + m + k H (m + 1) scalars
    """

    def __init__(self, pool: Pool, count: int, bottleneck: int, context: BuildContext, *, dropout: float = 0.0) -> None:
        """Draw the two maps as torch draws linear layers.

        Args:
            pool: how the text's states become k: adaptively, or the first or last token's state alone.
            count: k, the vectors that it makes.
            bottleneck: m.
            context: gives the width of the states and the random draws.
            dropout: on the vectors made.
        """
        super().__init__()
        width = context.anatomy.hidden_size
        self.pool, self.count = pool, count
        self.down = initialised(nn.Linear(width, bottleneck), context)
        self.up = initialised(nn.Linear(bottleneck, width * (count if pool in ("first", "last") else 1)), context)
        self.dropout = nn.Dropout(dropout)

    def forward(self, view: View) -> Tensor:
        """The vectors that the text of each unit makes, fp32, shape `(U, k, H)`."""
        states = view.states.to(torch.float32)
        made: Tensor = self.dropout(self.up(torch.relu(self._pooled(states, view.text))))
        return made.view(states.shape[0], self.count, states.shape[-1])

    def _pooled(self, states: Tensor, text: Tensor) -> Tensor:
        """What enters the ReLU, shape `(U, k, m)` or `(U, m)`."""
        if self.pool == "max":
            return adaptive_max(self.down(states), text, self.count)
        if self.pool == "average":  # a mean commutes with the affine map, and k states are fewer than T
            read = adaptive_average(states, text, self.count)
        else:
            read = sentence(states, text, self.pool)
        narrow: Tensor = self.down(read)
        return narrow


class LevelGenerator(Generator):
    """A generator of states brought to one length, which starts as given vectors whatever it reads.

    G(H) = B + W_up relu(Pool_k(W_down n(H) + b_down)),   n(h) = h / rms(h),   W_up = 0 at first

    Our choice. Layers of pre-norm models read their states through a norm; raw, the longest token rules what a
    generator makes. 2 H m + m + k H scalars (average, max), H m + m + k H (m + 1) (first, last).
    """

    def __init__(
        self, start: Tensor, pool: Pool, bottleneck: int, context: BuildContext, *, dropout: float = 0.0
    ) -> None:
        """Draw the map down; the map up is zero.

        Args:
            start: the vectors that it makes before training, `(k, H)`.
            pool: as in `Generator`.
            bottleneck: m.
            context: gives the width of the states and the random draws.
            dropout: on what the instance adds.
        """
        super().__init__(pool, len(start), bottleneck, context, dropout=dropout)
        nn.init.zeros_(self.up.weight)
        self.up.register_parameter("bias", None)  # B stands for it
        self.start = nn.Parameter(start.clone())

    def forward(self, view: View) -> Tensor:
        """The vectors that the text of each unit makes, fp32, shape `(U, k, H)`."""
        states = view.states.to(torch.float32)
        level = states * torch.rsqrt(states.square().mean(-1, keepdim=True) + 1e-6)
        return self.start + super().forward(replace(view, states=level))


class PHM(nn.Module):
    """A parametrised hypercomplex map: `x W` with W the sum over i = 1..n of the Kronecker products of A_i and B_i.

    A_i is (n, n), B_i is (inputs / n, outputs / n): n^3 + inputs * outputs / n scalars.
    """

    def __init__(self, inputs: int, outputs: int, n: int, std: float, context: BuildContext) -> None:
        """Draw A and B from N(0, std^2).

        Raises:
            SoftPromptError: n does not divide both widths.
        """
        super().__init__()
        if inputs % n or outputs % n:
            raise SoftPromptError(
                f"phm_dim={n} must divide the widths {inputs} and {outputs}: choose a divisor of both"
            )
        self.left = nn.Parameter(tables.normal((n, n, n), std, context))
        self.right = nn.Parameter(tables.normal((n, inputs // n, outputs // n), std, context))

    def weight(self) -> Tensor:
        """W, shape `(inputs, outputs)`."""
        n, rows, columns = self.right.shape
        return torch.einsum("iab,icd->acbd", self.left, self.right).reshape(n * rows, n * columns)

    def forward(self, states: Tensor) -> Tensor:
        """`x W`."""
        return states @ self.weight()
