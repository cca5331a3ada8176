"""How much attention goes from one kind of column to another: means and deviations over rows, layers, heads and runs.

A row's value is the mean over layers and heads, a run's the mean over its rows. The deviation over rows is that of the
rows' values, averaged over the runs; that over seeds is the deviation of the runs' values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean, stdev

import torch
from pydantic import JsonValue
from torch import Tensor

from softprompt.explain.anchors.measure import KEYS, QUERIES, Measures
from softprompt.sites.attention import Place

# From where to where, in the order of the table.
FLOWS = (
    ("text", "slot"),
    ("text", "structural"),
    ("text", "first"),
    ("slot", "text"),
    ("slot", "structural"),
    ("slot", "first"),
    ("slot", "itself"),
    ("slot", "slot"),
)


@dataclass(frozen=True)
class Flow:
    """What goes from `source` to `target` at one place; see `softprompt.explain.anchors.measure`.

    Attributes:
        place: `body` (self-attention), `cross` or `decoder` of an encoder-decoder.
        source: `text` or `slot`.
        target: `slot` (from a slot the others), `itself`, `structural`, `first` or `text`.
        weight: the share of attention.
        rows: the deviation over rows; None for one row.
        seeds: the deviation over runs; None for one run.
        uniform: the share where attention looks at all columns alike.
        score: the mean score before the softmax; None where all is hidden.
        layers: the weight of each layer; None where one has no attention.
        heads: the weight of each head of each layer.
        score_layers: the score of each layer.
        random: the weight with random directions in the slots; None where that was not asked for.
        removed: the weight without the prompt; None for slots, and where it was not asked for.
    """

    place: Place
    source: str
    target: str
    weight: float
    rows: float | None
    seeds: float | None
    uniform: float | None
    score: float | None
    layers: tuple[float | None, ...]
    heads: tuple[tuple[float | None, ...], ...]
    score_layers: tuple[float | None, ...]
    random: float | None = None
    removed: float | None = None


@dataclass(frozen=True)
class AnchorKind:
    """Runs of one method, with the same options on the same backbone and task.

    Attributes:
        method: its name.
        options: those that have a part.
        backbone: its name, or its family.
        task: its name.
        seeds: of the runs, as far as they are known.
        runs: how many.
        flows: what was seen.
    """

    method: str
    options: Mapping[str, JsonValue]
    backbone: str
    task: str
    seeds: tuple[int | None, ...]
    runs: int
    flows: tuple[Flow, ...]

    def flow(self, source: str, target: str, place: Place = "body") -> Flow | None:
        """One of the flows; None where there is no such column."""
        wanted = (place, source, target)
        return next((one for one in self.flows if (one.place, one.source, one.target) == wanted), None)

    @property
    def name(self) -> str:
        """What tells it from others in a picture."""
        return kind_name(self.method, self.options)


def kind_name(method: str, options: Mapping[str, JsonValue]) -> str:
    """A method with its number of virtual tokens, where it has that option."""
    count = options.get("num_virtual_tokens")
    return method if count is None else f"{method} {count}"


def flows_of(runs: Sequence[Mapping[Place, Measures]]) -> tuple[Flow, ...]:
    """The flows of runs of one kind, without those that have no member."""
    found = [_flow([run[place] for run in runs], place, *flow) for place in runs[0] for flow in FLOWS]
    return tuple(flow for flow in found if flow is not None)


def beside(flows: Sequence[Flow], random: Sequence[Flow], removed: Sequence[Flow]) -> tuple[Flow, ...]:
    """The flows with the weights of the controls, of which there may be none."""

    def weight(among: Sequence[Flow], own: Flow) -> float | None:
        alike = (one.weight for one in among if _names(one) == _names(own))
        return next(alike, None)

    return tuple(replace(one, random=weight(random, one), removed=weight(removed, one)) for one in flows)


def _names(flow: Flow) -> tuple[str, str, str]:
    return flow.place, flow.source, flow.target


def _flow(runs: Sequence[Measures], place: Place, source: str, target: str) -> Flow | None:
    at = (..., QUERIES.index(source), KEYS.index(target))
    rows = [run.weight[at].nanmean((1, 2)) for run in runs]
    values = [[one for one in each.tolist() if one == one] for each in rows]
    if not all(values):
        return None
    means = list(map(mean, values))
    weights, scores = (
        torch.stack([values[at].nanmean(0) for values in each]).nanmean(0)
        for each in ([run.weight for run in runs], [run.score for run in runs])
    )
    return Flow(
        place=place,
        source=source,
        target=target,
        weight=mean(means),
        rows=mean(map(stdev, values)) if min(map(len, values)) > 1 else None,
        seeds=stdev(means) if len(means) > 1 else None,
        uniform=_number(torch.stack([run.uniform[at].nanmean() for run in runs]).nanmean()),
        score=_number(torch.stack([run.score[at].nanmean() for run in runs]).nanmean()),
        layers=_numbers(weights.nanmean(1)),
        heads=tuple(map(_numbers, weights)),
        score_layers=_numbers(scores.nanmean(1)),
    )


def _numbers(values: Tensor) -> tuple[float | None, ...]:
    return tuple(map(_number, values))


def _number(value: Tensor) -> float | None:
    number = float(value)
    return number if number == number else None
