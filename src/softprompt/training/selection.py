"""Which evaluation of a training is the best one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn


@dataclass
class Selection:
    """The best evaluation so far and its parameters; better is a higher metric, then a lower loss.

    Attributes:
        metrics: of the best evaluation.
        step: at which it was taken.
        stale: evaluations since.
        state: the parameters, on the CPU.
    """

    metrics: dict[str, Any] = field(default_factory=dict)
    step: int = -1
    stale: int = 0
    state: dict[str, Tensor] = field(default_factory=dict)

    def offer(self, metrics: dict[str, Any], main: str, step: int, model: nn.Module) -> bool:
        """Take an evaluation; whether it is the best."""
        if self.metrics and rank(metrics, main) <= rank(self.metrics, main):
            self.stale += 1
            return False
        self.metrics, self.step, self.stale = metrics, step, 0
        self.state = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
        return True


def rank(metrics: dict[str, Any], main: str) -> tuple[float, float]:
    """What makes an evaluation better than another: a higher main metric, then a lower loss."""
    loss = metrics.get("loss")
    return metrics[main], -(loss if loss is not None else 0.0)
