"""Gates that learn which layers a method over layers keeps.

A gate's probability is a = sigmoid(g). What enters the forward pass is a value whose gradient is decoupled from it. The
forms, with sg for stop-gradient:

    ratio        a / sg(a)             value 1, gradient 1 - a: every layer acts, importance is learned
    bernoulli    sg(b) + a - sg(a)     value b ~ Bernoulli(a), gradient a (1 - a)
    threshold    sg(b) + a - sg(a)     as it, with b = [a >= 1/2]
    concrete     sg(h) + s - sg(s)     s = sigmoid((g + logistic noise) / T), h = [s >= 1/2], gradient of s

They are the forms in which selective prompt tuning can be built; its paper's own could not be read (`methods.spt`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

GateForm = Literal["bernoulli", "threshold", "ratio", "concrete"]


def ratio(logits: Tensor) -> Tensor:
    """Values 1, gradient 1 - a."""
    probability = torch.sigmoid(logits)
    return probability / probability.detach()


def straight_through(logits: Tensor, drawn: Tensor | None = None) -> Tensor:
    """Values 0 or 1, gradient a (1 - a).

    Args:
        logits: g, any shape.
        drawn: uniform numbers in [0, 1) of that shape, for values drawn from Bernoulli(a); None for [a >= 1/2].
    """
    probability = torch.sigmoid(logits)
    hard = (logits >= 0) if drawn is None else (drawn < probability)
    return hard.to(probability) + (probability - probability.detach())


def concrete(logits: Tensor, drawn: Tensor | None = None, temperature: float = 1.0) -> Tensor:
    """Values 0 or 1, the gradient of the binary concrete sample.

    Args:
        logits: g, any shape.
        drawn: uniform numbers in [0, 1) of that shape; None for no noise.
        temperature: T.
    """
    noise = 0.0 if drawn is None else torch.logit(drawn, eps=1e-6)
    soft = torch.sigmoid((logits + noise) / temperature)
    return (soft >= 0.5).to(soft) + (soft - soft.detach())


class Gates(nn.Module):
    """One gate for each of n places.

    While training, `values` follow the form and the noise of the last `draw`; in evaluation they are the hard choice
    of `kept_layers`, so that what is measured is what is stored.

    Attributes:
        logits: g, shape `(n,)`.
        noise: the uniform numbers in use, shape `(n,)`, or None for values without chance.
    """

    def __init__(self, count: int, form: GateForm = "bernoulli", *, temperature: float = 1.0) -> None:
        """Set every g to 0, a probability of one half.

        Args:
            count: n.
            form: of the values while training.
            temperature: of the form `concrete`.
        """
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(count))
        self.form, self.temperature = form, temperature
        self.noise: Tensor | None = None

    def draw(self, generator: torch.Generator | None = None) -> None:
        """Draw the noise of the coming passes; without a generator from torch's own state, which checkpoints keep."""
        drawn = torch.rand(self.logits.shape, generator=generator)
        self.noise = drawn.to(self.logits.device)

    def values(self, limit: int | None = None) -> Tensor:
        """What multiplies each place's contribution, shape `(n,)`.

        Args:
            limit: in evaluation, how many may stay open; None for all that are likelier open than shut.
        """
        if not self.training:
            kept = torch.tensor(kept_layers(self.probabilities().tolist(), limit), device=self.logits.device)
            return torch.zeros_like(self.logits).index_fill(0, kept, 1.0)
        if self.form == "ratio":
            return ratio(self.logits)
        if self.form == "concrete":
            return concrete(self.logits, self.noise, self.temperature)
        return straight_through(self.logits, self.noise if self.form == "bernoulli" else None)

    def probabilities(self) -> Tensor:
        """a, shape `(n,)`, without gradient."""
        return torch.sigmoid(self.logits.detach())


def kept_layers(probabilities: Sequence[float], limit: int | None) -> tuple[int, ...]:
    """The `limit` likeliest layers, or all over a half, ascending; ties go to the lower ones, and one always stays."""
    order = sorted(range(len(probabilities)), key=lambda layer: (-probabilities[layer], layer))
    if limit is None:
        limit = max(1, sum(value > 0.5 for value in probabilities))
    return tuple(sorted(order[:limit]))
