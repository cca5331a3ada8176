"""A learned choice of layers beside its controls: one method, trained over again with other choices of layers.

Every arm is the same method with another word for `select`, so that nothing but the layers differs. An arm is trained
for every seed, into a folder of its own; arms of one seed see the same rows, which is what the paired test rests on
(`softprompt.compare.significance`). Runs that are finished are read, not run again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from pathlib import Path
from typing import Any, cast

from softprompt.backbones.backbone import Backbone, takes_backbone
from softprompt.backbones.tunable import Tunable
from softprompt.compare.executor import Event
from softprompt.compare.here import HereExecutor
from softprompt.compare.queue import work_off
from softprompt.compare.results import Arm, ArmRun, LayerComparison, RunFigures, TunableShare
from softprompt.compare.significance import TEST, compare
from softprompt.errors import Interrupted, SoftPromptError
from softprompt.evaluation.score import figure, interval_of
from softprompt.guards.kinds import check_kind, several
from softprompt.methods.base import Method
from softprompt.methods.parts.layers import GRAMMAR, LayerSelection, OverLayers, selection, usual
from softprompt.methods.registry import method_given, methods
from softprompt.progress import Progress
from softprompt.tasks import Task
from softprompt.training import run
from softprompt.training.finished import RunMetrics
from softprompt.training.fitting.kept_files import forget_kept, sharing_kept
from softprompt.training.process import whole_seed
from softprompt.training.run_folder import output_folder

ARMS = ("learned", "all", "first", "last", "random", "input", "middle")
SEEDS = (13, 21, 42)
_COUNTED = ("learned", "first", "last", "random")


def over_layers(method: Method) -> OverLayers:
    """The method, if its layers can be chosen.

    Raises:
        SoftPromptError: they cannot.
    """
    if isinstance(method, OverLayers):
        return method
    able = ", ".join(name for name, one in methods().items() if issubclass(one, OverLayers))
    raise SoftPromptError(f"method {method.name!r} has no choice of layers (select): choose from {able}")


def selections(arms: Sequence[str], keep: int, layers: int) -> dict[str, LayerSelection]:
    """The choices of layers of the arms, by their names, each once.

    Args:
        arms: words of the option `select`; learned, first, last and random take `keep` where they bring no number.
        keep: K.
        layers: of the backbone.

    Raises:
        SoftPromptError: no arm, an unknown one, or one with more layers than there are.
    """
    if keep < 1:
        raise SoftPromptError(f"keep is {keep}: choose from 1 to {layers}")
    found = {}
    for arm in arms:
        try:
            chosen = selection(f"{arm}:{keep}" if arm in _COUNTED else arm)
        except ValueError:
            raise SoftPromptError(f"arm {arm!r}: choose from {GRAMMAR}") from None
        chosen.of(layers)
        found[str(chosen)] = chosen
    if not found:
        raise SoftPromptError(f"no arms: choose from {GRAMMAR}")
    return found


@takes_backbone
def select_layers(
    model: Backbone,
    /,
    task: Task,
    method: Method | str = "spt",
    *,
    keep: int | None = None,
    arms: Sequence[str] = ARMS,
    seeds: Sequence[int] = SEEDS,
    output: str | Path | None = None,
    progress: bool | Progress = True,
    backbone: str | None = None,
    **options: Any,
) -> LayerComparison:
    """Train a method with learned layers and with every control, for several seeds, and compare them.

    The same call again goes on where the last one stopped; more seeds or arms only add runs.

    Args:
        model: a `Backbone`, or a model and then its tokenizer.
        task: with its data.
        method: a method over layers, or its name; its own `select` is not used.
        keep: K, how many layers the counted arms keep; by default 8, but at most half of the layers.
        arms: words of the option `select`; learned, first, last and random take `keep`.
        seeds: of the runs.
        output: the folder; the run of an arm and a seed goes to `<arm>-<seed>` in it. By default
            `runs/<task>-<method>-layers`.
        progress: whether to show progress, or where.
        backbone: the backbone's name for the records, where it shall have another than its own.
        **options: of training, see `TrainingOptions`, and `preset`, see `train`.

    Returns:
        What `softprompt select` writes to `select.json`: the setting, `arms` (as `summed` gives them), the `reference`
        they are compared with (the first learned arm, else the first), and `gates`: for each arm that was searched
        for and each seed the gates' probabilities over the search's turns, `(turns, L)`.

    Raises:
        SoftPromptError: a method without a choice of layers, an unknown arm, a fault in the task, or a folder that
            holds other runs.
        Interrupted: it was asked to stop; the same call goes on.

    Example:
        >>> found = sp.select_layers(
        ...     model, tokenizer, task, "capt", arms=("all", "last"), keep=1, seeds=(1,), max_steps=1, progress=False
        ... )
        >>> [arm["arm"] for arm in found["arms"]]
        ['all', 'last:1']
    """
    check_kind("select_layers", "task", task, Task)
    chosen = over_layers(method_given("select_layers", method))
    layers = model.anatomy.num_layers
    count = usual(layers) if keep is None else keep
    wanted = selections(several("select_layers", "arms", arms, str), count, layers)
    task, seeds = task.reading_once(), list(map(whole_seed, several("select_layers", "seeds", seeds, Integral)))
    _check(task, seeds)
    folder = output_folder(output, f"{task.name}-{chosen.name}-layers")
    with_layers = {arm: chosen.model_copy(update={"select": arm}) for arm in wanted}
    show = progress if isinstance(progress, Progress) else Progress(progress)
    given = {"resume": True, "progress": show, **options}
    train_arm = partial(run.train, model.named(backbone), task, **given)
    found = _train_arms(train_arm, with_layers, seeds, folder, show)
    reference = next((arm for arm, one in wanted.items() if one.learned), next(iter(wanted)))
    first = found[reference][0]
    return {
        "task": first.task,
        "method": first.method,
        "backbone": first.backbone,
        "metric": first.metric,
        "rows": first.test.rows or 0,
        "seen_rows": first.test.seen_rows,
        "layers": layers,
        "keep": count,
        "seeds": list(dict.fromkeys(seeds)),
        "reference": reference,
        "test": TEST,
        "arms": summed({arm: [figures_of(one) for one in runs] for arm, runs in found.items()}, reference, layers),
        "gates": {arm: courses for arm, runs in found.items() if (courses := _gates(runs))},
        "versions": first.versions,
    }


@dataclass(frozen=True)
class _ArmCell:
    """One arm with one seed."""

    arm: str
    seed: int

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.arm.replace(':', '')}-{self.seed}"


def _train_arms(
    train_arm: Callable[..., run.Run], arms: Mapping[str, Method], seeds: Sequence[int], folder: Path, show: Progress
) -> dict[str, list[RunMetrics]]:
    """The metrics of the runs, by arm; they are trained seed by seed, and what is finished is read."""
    cells = {one.name: one for one in (_ArmCell(arm, seed) for seed in dict.fromkeys(seeds) for arm in arms)}
    places = {name: place for place, name in enumerate(cells, 1)}
    found: dict[str, list[RunMetrics]] = {arm: [] for arm in arms}

    def do(cell: _ArmCell) -> None:
        with sharing_kept(folder):
            done = train_arm(arms[cell.arm], seed=cell.seed, output=folder / cell.name)
        found[cell.arm].append(done.record)
        _check_same_head(done, found)

    def hear(event: Event) -> None:
        cell = cells[event.job]
        if event.kind == "begun":
            show.say(f"run {places[event.job]} of {len(cells)}: {cell.arm}, seed {cell.seed}")
        elif event.kind == "failed":
            show.say(f"failed: {event.line}")

    executor = HereExecutor(do)
    for name, end in work_off(cells.values(), executor, hear).items():
        if end.kind == "stopped":
            finished = sum(map(len, found.values()))
            raise Interrupted(
                f"stopped in {cells[name].arm}, seed {cells[name].seed}: {finished} of {len(cells)} runs are finished "
                f"in {folder}; run the same again to go on"
            )
    forget_kept(folder)
    for fault in executor.faults.values():
        raise fault
    return found


def _check_same_head(done: run.Run, found: Mapping[str, Sequence[RunMetrics]]) -> None:
    """Layers are all that differs: heads of an earlier version read another place."""
    places = {str(one.readout.get("pooling")) for runs in found.values() for one in runs}
    if len(places) > 1:
        raise SoftPromptError(
            f"{done.folder} has a head with pooling {done.record.readout.get('pooling')!r}, and a run beside it has "
            f"another ({', '.join(sorted(places))}), as of an earlier version: choose another output"
        )


def figures_of(metrics: RunMetrics) -> RunFigures:
    """What a comparison reads of a run's metrics."""
    return {
        "seed": metrics.seed,
        "metric": metrics.metric,
        "test": metrics.test.figures(),
        "train_seconds": metrics.train_seconds,
        "trained_parameters": metrics.trained_parameters,
        "tunable": None if metrics.tunable is None else _share(metrics.tunable),
        "stored_parameters": metrics.stored_parameters,
        "kept_layers": metrics.kept_layers,
    }


def _share(found: Tunable) -> TunableShare:
    return {
        "backbone_parameters": found.backbone_parameters,
        "percent": found.percent,
        "percent_without_head": found.percent_without_head,
    }


def summed(runs: Mapping[str, Sequence[RunFigures]], reference: str, layers: int) -> list[Arm]:
    """The arms' figures over their seeds.

    Args:
        runs: by arm, at least one each.
        reference: the arm that the others are compared with.
        layers: of the backbone.
    """
    values = {arm: {one["seed"]: figure(one["test"], one["metric"]) for one in found} for arm, found in runs.items()}
    compared = compare(values, reference)
    arms: list[Arm] = []
    for arm, found in runs.items():
        each: list[ArmRun] = [
            {
                "seed": one["seed"],
                "value": figure(one["test"], one["metric"]),
                "interval": interval_of(one["test"]),
                "seconds": one["train_seconds"],
                "kept_layers": one.get("kept_layers"),
            }
            for one in found
        ]
        shares = [one.get("tunable") for one in found]
        kept = [one["kept_layers"] for one in each if one["kept_layers"] is not None]
        arms.append(
            {
                "arm": arm,
                **compared[arm],
                "trained_parameters": max(one["trained_parameters"] for one in found),
                "tunable": max(filter(None, shares), key=lambda share: share["percent"], default=None),
                "stored_parameters": max(one["stored_parameters"] for one in found),
                "seconds": sum(one["seconds"] for one in each) / len(each),
                "share": [sum(layer in one for one in kept) / len(kept) for layer in range(layers)] if kept else None,
                "runs": each,
            }
        )
    return arms


def _gates(runs: Sequence[RunMetrics]) -> dict[str, list[list[float]]]:
    """The gates of each seed's search, turn by turn; empty where nothing was searched."""
    turns = {str(one.seed): [turn["gates"] for turn in one.history if "gates" in turn] for one in runs}
    return {seed: cast("list[list[float]]", gates) for seed, gates in turns.items() if gates}


def _check(task: Task, seeds: Sequence[int]) -> None:
    """Faults in the data show before anything is trained."""
    if not seeds:
        raise SoftPromptError("no seeds: give at least one")
    for seed in seeds:
        if not task.splits(seed).test:
            raise SoftPromptError(f"task {task.name!r} has no labelled test rows to compare the arms on")
