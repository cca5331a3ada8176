"""Which evaluation of a training is the best one."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from softprompt.errors import SoftPromptError
from softprompt.evaluation.score import Scores, figure, loss_of


@dataclass
class BestState:
    """The best evaluation so far and its parameters; better is a higher metric, then a lower loss.

    An evaluation whose metric, loss or parameters are not finite is never taken, not even as the first.

    Attributes:
        metrics: of the best evaluation.
        step: at which it was taken.
        stale: evaluations since.
        state: the parameters, on the CPU.
    """

    metrics: Scores = field(default_factory=dict)
    step: int = -1
    stale: int = 0
    state: dict[str, Tensor] = field(default_factory=dict)

    def offer(self, metrics: Scores, main: str, step: int, model: nn.Module) -> bool:
        """Take an evaluation; whether it is the best."""
        better = sound(metrics, main) and (not self.metrics or rank(metrics, main) > rank(self.metrics, main))
        state = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()} if better else {}
        if not better or not all(bool(torch.isfinite(value).all()) for value in state.values()):
            self.stale += 1
            return False
        self.metrics, self.step, self.stale, self.state = metrics, step, 0, state
        return True


def rank(metrics: Scores, main: str) -> tuple[float, float]:
    """What makes an evaluation better than another: a higher main metric, then a lower loss.

    One that is not finite comes after all that are, whatever its metric, and none of these beats another.
    """
    if not sound(metrics, main):
        return -math.inf, -math.inf
    return figure(metrics, main), -(loss_of(metrics) or 0.0)


def sound(metrics: Scores, main: str) -> bool:
    """Whether an evaluation's main metric is finite, and its loss where it has one."""
    loss = loss_of(metrics)
    return math.isfinite(figure(metrics, main)) and (loss is None or math.isfinite(loss))


def proved(metrics: Scores, main: str, rows: str) -> Scores:
    """The metrics of a model that no step can mend any more, if they are finite.

    Raises:
        SoftPromptError: they are not.
    """
    if not sound(metrics, main):
        raise SoftPromptError(
            f"the model's scores of the {rows} rows are not finite, so nothing is stored: load the backbone with dtype "
            "float32, or see whether its weights are finite"
        )
    return metrics
