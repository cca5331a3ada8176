"""When a training has diverged, and what its user is told.

A step whose loss or whose gradient is not finite moves nothing: its gradient is dropped. A training has diverged when
`LIMIT` steps running were such, when its last one was, when a trained parameter is not finite, or when no evaluation
of it was. It then stops; the best finite state is what it leaves.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import NotRequired

import torch
from pydantic import ConfigDict, with_config
from torch import nn
from typing_extensions import TypedDict  # pydantic reads typing's own from Python 3.12 on

from softprompt.errors import SoftPromptError
from softprompt.training.options import Plan, TrainingOptions

LIMIT = 5  # steps running


@with_config(ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))
class NotFinite(TypedDict):
    """What was not finite in a training, and when: JSON values all.

    Attributes:
        step: of the optimiser, from 1.
        what: the loss, the gradient, or a parameter by its name.
        value: as text.
        running: steps running.
        stage: of the run; None where it has but one.
        best_step: of the best finite state.
        rates: the learning rates in use, by the names of their options.
        max_grad_norm: in use.
    """

    step: int
    what: str
    value: str
    running: int
    stage: NotRequired[str | None]
    best_step: NotRequired[int]
    rates: NotRequired[dict[str, float]]
    max_grad_norm: NotRequired[float]


class GuardState(TypedDict):
    """What a checkpoint holds of a guard."""

    running: int
    fault: NotFinite | None


class Diverged(SoftPromptError):
    """A training whose loss, gradient or parameters did not stay finite.

    Attributes:
        fault: what was not finite, and when; of a run with all fields.
        kept: whether the model has the best finite state, so that it can be stored.
    """

    def __init__(self, message: str, fault: NotFinite, *, kept: bool) -> None:
        """See the class."""
        super().__init__(message)
        self.fault, self.kept = fault, kept


class Guard:
    """Watches the steps of one training.

    Attributes:
        running: steps running that moved nothing.
        fault: what was not finite at the last of them, or the parameter that is not.
    """

    def __init__(self) -> None:
        """Nothing has been seen yet."""
        self.running = 0
        self.fault: NotFinite | None = None
        self._loss: float | None = None

    def see(self, loss: float) -> None:
        """Take the loss of a batch of the step in hand."""
        if not math.isfinite(loss):
            self._loss = loss

    def passes(self, gradient: float, step: int) -> bool:
        """Whether the step in hand may move the parameters, by its losses and its gradient's norm."""
        what, value = ("gradient", gradient) if self._loss is None else ("loss", self._loss)
        self._loss = None
        if math.isfinite(value):
            self.running, self.fault = 0, None
            return True
        self.running += 1
        self.fault = {"step": step, "what": what, "value": str(value), "running": self.running}
        return False

    def check_parameters(self, parameters: Iterable[tuple[str, nn.Parameter]], step: int) -> None:
        """Take note of a trained parameter that is not finite."""
        for name, parameter in parameters:
            if parameter.requires_grad and not bool(torch.isfinite(parameter).all()):
                worst = parameter.detach()[~torch.isfinite(parameter)].flatten()[0]
                self.running, self.fault = LIMIT, unsound(step, f"parameter {name}", float(worst))
                return

    def over(self, *, last: bool) -> bool:
        """Whether the training has diverged.

        Args:
            last: no step comes after this one.
        """
        return self.running >= LIMIT or (last and self.running > 0)

    def state(self) -> GuardState:
        """What a checkpoint holds of it."""
        return {"running": self.running, "fault": self.fault}

    def take(self, state: GuardState) -> None:
        """Go on from what `state` gave."""
        self.running, self.fault = state["running"], state["fault"]


def unsound(step: int, what: str, value: float | None) -> NotFinite:
    """A fault of one moment; a value of None is one that a checkpoint could not hold."""
    return {"step": step, "what": what, "value": "not finite" if value is None else str(value), "running": 1}


def described(fault: NotFinite) -> str:
    """What was not finite."""
    running = f" for {fault['running']} steps running" if fault["running"] > 1 else ""
    stage = f" of stage {fault['stage']}" if fault.get("stage") else ""
    return f"training diverged at step {fault['step']}{stage}: the {fault['what']} was {fault['value']}{running}"


def mend(rates: dict[str, float], max_grad_norm: float) -> str:
    """What to try, given the rates and the norm that were in use."""
    lower = " and ".join(f"{name} (now {rate:g})" for name, rate in rates.items())
    clipped = f"now {max_grad_norm:g}" if max_grad_norm else "now off"
    return f"try a lower {lower}, dtype float32, or a lower max_grad_norm ({clipped})"


def of_stage(fault: NotFinite, plan: Plan, options: TrainingOptions, *, head: bool, kept: bool) -> Diverged:
    """What a stage of a run that diverged raises; it is the last word where nothing was kept.

    Args:
        fault: with `stage` and `best_step`.
        plan: of the stage.
        options: of the stage.
        head: whether the readout is trained, too.
        kept: whether the model has the best finite state.
    """
    rates = {"learning_rate": plan.learning_rate}
    if head:
        rates["head_learning_rate"] = plan.head_learning_rate
    own: NotFinite = {**fault, "rates": rates, "max_grad_norm": options.max_grad_norm}
    line = f"{described(own)}; nothing of it can be stored: {mend(rates, options.max_grad_norm)}"
    return Diverged(line, own, kept=kept)


def kept(fault: NotFinite, folder: Path) -> Diverged:
    """What is raised when the best finite state was stored in `folder`."""
    return Diverged(
        f"{described(fault)}; the best finite state, of step {fault['best_step']}, is stored in {folder}: "
        f"{mend(fault['rates'], fault['max_grad_norm'])}",
        fault,
        kept=True,
    )
