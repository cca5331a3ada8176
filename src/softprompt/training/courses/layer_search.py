"""SPT-DARTS: the bi-level search for the layers that are worth a prompt.

min_g L_val(w*(g), g) with w*(g) = argmin_w L_train(w, g), first order: steps take turns, the first moves the prompt and
the readout (w) on one half of the rows, the second the gates (g) on the other half, each on

    L = loss + lambda L_cons(v, v'),   L_cons the difference of the outputs under two values v, v' of all gates

With `consistency_pair="network"`, v are the gates as they are drawn and v' = m v, m a random mask: what a choice of
layers leaves agrees with the network that it is chosen from. With "masks", v and v' are two random masks.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from softprompt.evaluation.score import Scores
from softprompt.inference.batches import to_device
from softprompt.methods.parts.gated import Gated
from softprompt.methods.parts.layers import Consistency as Kind
from softprompt.methods.parts.layers import OverLayers
from softprompt.readouts import Batch, Item, Readout
from softprompt.readouts.candidates import Candidates
from softprompt.readouts.free_text import FreeText
from softprompt.readouts.head import Head
from softprompt.sites.attached import Attached
from softprompt.training.fitting.record import FitRecord
from softprompt.training.fitting.stage_spec import Stage
from softprompt.training.fitting.trainer import WEIGHT, OnStep, SoftPromptTrainer

FEWEST = 8  # rows of a class in each half, below which both levels read all rows (METHODS of the line, SPT)
_LEAST = -1e30
_BARS = "▁▂▃▄▅▆▇█"


class SearchTrainer(SoftPromptTrainer):
    """Trainer over a gated prompt; its rows come in the order of `schedule`.

    Attributes:
        gates: the gates' probabilities after each turn, `(L,)` each.
    """

    gates: list[list[float]]
    in_order = True

    def __init__(self, stage: Stage, on_step: OnStep) -> None:
        """As `SoftPromptTrainer`."""
        self.gates = []
        super().__init__(stage, on_step)

    @classmethod
    def passes(cls, stage: Stage) -> int:
        """The loss's, and of the consistency the two that it compares."""
        own = stage.trained.prompted.prompts[0]
        assert isinstance(own, Gated)
        return 3 if _compares(own.options) else 1

    @property
    def gated(self) -> Gated:
        """The prompt."""
        own = self.trained.prompted.prompts[0]
        assert isinstance(own, Gated)
        return own

    @property
    def method(self) -> OverLayers:
        """Its method, with the options of the search."""
        return self.gated.options

    @property
    def moves_gates(self) -> bool:
        """Whether the step in hand moves the gates rather than the prompt."""
        return self.state.global_step % 2 == 1

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        """The readout's loss with gates drawn anew, plus the consistency term."""
        weight = inputs.pop(WEIGHT, None)
        batch = to_device(inputs, self.trained.prompted)
        self.gated.gates.draw()
        with self.chance():
            loss: Tensor = model(batch)
        if not _compares(self.method):
            return self.counted(loss, loss, weight)
        return self.counted(loss, loss + self.method.consistency_weight * self._consistency(batch), weight)

    def training_step(self, model: nn.Module, inputs: Batch, num_items_in_batch: Tensor | int | None = None) -> Tensor:
        """One step of one level: the other level's gradients are dropped, and its parameters stay."""
        loss = super().training_step(model, inputs, num_items_in_batch)
        logits = self.gated.gates.logits
        for parameter in self.trained.parameters():
            if (parameter is logits) is not self.moves_gates:
                parameter.grad = None
        return loss

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """As the base's, with the gates in a group of their own, which decays nothing."""
        if self.optimizer is not None:
            return self.optimizer
        logits = self.gated.gates.logits
        logits.requires_grad_(False)
        made = super().create_optimizer(model)
        logits.requires_grad_(True)
        made.add_param_group({"params": [logits], "lr": self.method.gate_learning_rate, "weight_decay": 0.0})
        return made

    def after_step(self) -> None:
        """Remember the gates after every turn."""
        if self.state.global_step % 2 == 0:
            self.gates.append([round(value, 5) for value in self.gated.gates.probabilities().tolist()])

    def note(self, metrics: Scores | None) -> str:
        """The gates as bars, layer by layer, and how many are open."""
        return as_bars(self.gated.gates.probabilities().tolist())

    def extra(self) -> FitRecord:
        """With the course of the gates."""
        return {**super().extra(), "gates": self.gates}

    def take_extra(self, extra: FitRecord) -> None:
        """With the course of the gates."""
        super().take_extra(extra)
        self.gates = extra["gates"]

    def _consistency(self, batch: Batch) -> Tensor:
        found = []
        for values in self.gated.draw_pair():
            self.gated.given = values
            with self.chance():
                found.append(_compared(self.trained.readout, self.trained.prompted, batch, self.method.consistency))
        self.gated.given = None
        (one, kind), (other, _) = found
        return consistency(one, other, kind)


def _compares(method: OverLayers) -> bool:
    return method.consistency != "none" and bool(method.consistency_weight)


def consistency(one: Tensor, other: Tensor, kind: Kind) -> Tensor:
    """How far two outputs lie apart, a scalar; 0 where they are equal.

    Args:
        one: log-probabilities `(rows, classes)` of `kl`; anything of `mse`.
        other: the same of the other network.
        kind: `kl`, the mean of both Kullback-Leibler divergences; `mse`, the mean squared difference.
    """
    if kind == "mse":
        return (one - other).square().mean()
    # 1/2 [KL(p || q) + KL(q || p)] = 1/2 sum (p - q) (log p - log q)
    return 0.5 * ((one.exp() - other.exp()) * (one - other)).sum(-1).mean()


def _compared(readout: Readout, prompted: Attached, batch: Batch, kind: Kind) -> tuple[Tensor, Kind]:
    """What the consistency term compares, and how: numbers and single answers have no distribution."""
    scored = readout.scorer if isinstance(readout, FreeText) else readout
    if isinstance(scored, Candidates) and scored.vocabulary:  # while training, a row has its right answer alone
        return scored.token_logs(prompted, batch, None).sum(-1), "mse"
    if kind == "mse" or (isinstance(readout, Head) and readout.bounds):
        return readout.outputs(prompted, batch), "mse"
    # Candidates that a row lacks score minus infinity, on both sides.
    return readout.scored(prompted, batch).log_softmax(-1).clamp(min=_LEAST), "kl"


def halves(items: Sequence[Item], seed: int) -> tuple[list[Item], list[Item]]:
    """The rows of the two levels: halves with as many of each class, or all rows twice where those would be too small.

    Args:
        items: encoded training rows.
        seed: of the draw.
    """
    by_label: dict[int | None, list[Item]] = {}
    for item in items:
        by_label.setdefault(item.label if isinstance(item.label, int) else None, []).append(item)
    if min(len(rows) for rows in by_label.values()) < 2 * FEWEST:
        return list(items), list(items)
    chance = random.Random(seed)
    first: list[Item] = []
    second: list[Item] = []
    for label in sorted(by_label, key=str):
        rows = chance.sample(by_label[label], len(by_label[label]))
        first += rows[: len(rows) // 2]
        second += rows[len(rows) // 2 :]
    return first, second


def schedule(levels: tuple[Sequence[Item], Sequence[Item]], turns: int, batch_size: int, seed: int) -> list[Item]:
    """All rows of a search in their order: a batch of the first level, one of the second, and so on.

    Args:
        levels: the rows of both levels; each is gone through in a new order time and again.
        turns: how many pairs of batches.
        batch_size: rows a batch.
        seed: of the orders.
    """
    first, second = (_endless(rows, seed + level) for level, rows in enumerate(levels))
    return [next(stream) for _ in range(turns) for stream in (first, second) for _ in range(batch_size)]


def _endless(rows: Sequence[Item], seed: int) -> Iterator[Item]:
    chance = random.Random(seed)
    while True:
        yield from chance.sample(rows, len(rows))


def settled(history: Sequence[Sequence[float]]) -> list[float]:
    """The probabilities that a search ends with: their mean over its last quarter, `(L,)`."""
    last = history[-max(1, len(history) // 4) :]
    return [sum(values) / len(last) for values in zip(*last, strict=True)]


def as_bars(probabilities: Sequence[float]) -> str:
    """Probabilities as a row of bars."""
    bars = "".join(_BARS[min(int(value * len(_BARS)), len(_BARS) - 1)] for value in probabilities)
    return f"gates {bars} {sum(value > 0.5 for value in probabilities)}/{len(probabilities)} over a half"
