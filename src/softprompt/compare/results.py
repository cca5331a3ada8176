"""What a comparison of runs finds, as `select.json` holds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NotRequired, TypedDict

from softprompt.evaluation.score import Scores


class Difference(TypedDict):
    """A group's difference to the reference, seed by seed: what `significance.Paired` holds, and p after Holm."""

    pairs: int
    mean: float
    interval: Sequence[float] | None
    p: float | None
    p_holm: float | None


class GroupFigures(TypedDict):
    """A group's figures over its seeds.

    Attributes:
        mean: of the figures.
        deviation: of the sample; None for one seed.
        difference: to the reference; None for the reference, and for a group that shares no seed with it.
    """

    mean: float
    deviation: float | None
    difference: Difference | None


class TunableShare(TypedDict):
    """The trained scalars as a share of the backbone's parameters: what `backbones.tunable.Tunable` holds."""

    backbone_parameters: int
    percent: float
    percent_without_head: float


class RunFigures(TypedDict):
    """What a comparison reads of a finished run, by the names of `metrics.json`.

    Attributes:
        seed: of the run.
        metric: the main one.
        test: metrics of the test rows.
        train_seconds: of training.
        trained_parameters: scalars that were trained.
        tunable: these as a share of the backbone's; None of versions that did not write it.
        stored_parameters: scalars that are stored.
        kept_layers: by number, from 0; None for a method that has no choice.
    """

    seed: int
    metric: str
    test: Scores
    train_seconds: float
    trained_parameters: int
    tunable: NotRequired[TunableShare | None]
    stored_parameters: int
    kept_layers: NotRequired[list[int] | None]


class ArmRun(TypedDict):
    """One run of an arm.

    Attributes:
        seed: of the run.
        value: of the main metric on the test rows.
        interval: its 95 % interval, `[low, high]`.
        seconds: of training.
        kept_layers: by number, from 0; None for a method that has no choice.
    """

    seed: int
    value: float
    interval: Sequence[float]
    seconds: float
    kept_layers: Sequence[int] | None


class Arm(GroupFigures):
    """A choice of layers, over its seeds.

    Attributes:
        arm: the choice.
        trained_parameters: scalars that were trained, the most of the seeds.
        tunable: these as a share of the backbone's, likewise; None where no run tells it.
        stored_parameters: scalars that are stored, likewise.
        seconds: of training, the mean of the seeds.
        share: of the seeds that keep each layer, `(L,)`; None for a method that has no choice.
        runs: one a seed.
    """

    arm: str
    trained_parameters: int
    tunable: TunableShare | None
    stored_parameters: int
    seconds: float
    share: Sequence[float] | None
    runs: Sequence[ArmRun]


class LayerComparison(TypedDict):
    """Every arm of a method over layers, on one task and backbone.

    Attributes:
        task: its name.
        method: its name.
        backbone: its name.
        metric: the main one.
        rows: how many test rows.
        seen_rows: how many of them a prompt was trained or chosen on; None where that is not known.
        layers: L, of the backbone.
        keep: K, layers that the counted arms keep.
        seeds: of the runs.
        reference: the arm that the others are compared with.
        test: which test.
        arms: the arms.
        gates: for each arm that was searched for and each seed the gates' probabilities over the turns, `(turns, L)`.
        versions: of the libraries.
    """

    task: str
    method: str
    backbone: str
    metric: str
    rows: int
    seen_rows: int | None
    layers: int
    keep: int
    seeds: Sequence[int]
    reference: str
    test: str
    arms: Sequence[Arm]
    gates: dict[str, dict[str, list[list[float]]]]
    versions: dict[str, str]
