"""Which runs may stand in one column of a table: one task, backbone, number of shots, metric, and the same test rows.

Scores of other test rows are other scores. Where runs of several seeds were tested on the same rows, those are the
column's rows; where each seed drew rows of its own (one file, divided by the seed), the methods of a seed must have the
same. Of what disagrees the most runs stay, and the rest is left out with the reason: nothing is averaged over both.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from softprompt.compare.gathering import FinishedRun, LeftOut

_MORE = 1.1  # training sets of sizes that differ by no more than a tenth are one setting: splits round


@dataclass(frozen=True)
class Column:
    """What the scores of a column have in common.

    Attributes:
        task: its name.
        backbone: what it is called in the table.
        metric: of the scores.
        shots: rows a class that were drawn to train on; None for all that there are.
        training_rows: how many, of the first run; None where its version recorded none.
        test_rows: how many, of the first run.
        one_test: whether all seeds were tested on the same rows.
        label: of the column in its table.
        runs: by their seeds and folders.
    """

    task: str
    backbone: str
    metric: str
    shots: int | None
    training_rows: int | None
    test_rows: int
    one_test: bool
    label: str
    runs: tuple[FinishedRun, ...]


def columns_of(runs: Sequence[FinishedRun], metric: str | None = None) -> tuple[list[Column], list[LeftOut]]:
    """The columns, by backbone and task, and the runs that stand in none.

    Args:
        runs: finished ones.
        metric: of all scores; by default each task's main metric.
    """
    left: list[LeftOut] = []
    names = _backbones(runs)
    together: dict[tuple[str, str, int | None], list[FinishedRun]] = defaultdict(list)
    for run in runs:
        wanted = metric or run.record.metric
        if run.record.test.value(wanted) is None:
            known = ", ".join(name for name in run.record.test.figures() if run.record.test.value(name) is not None)
            left.append(LeftOut(run.folder, f"no {wanted} among its metrics ({known})"))
        else:
            together[names[run.backbone], run.record.task, run.shots].append(run)
    columns = []
    for (backbone, _, _), members in sorted(together.items(), key=lambda item: (*item[0][:2], item[0][2] or 0)):
        for alike in _by_size(members):
            own, others = _one_metric(alike, metric)
            own, more = _same_test(own)
            left += others + more
            columns.append(_column(own, backbone, metric))
    return _labelled(columns), left


def _backbones(runs: Iterable[FinishedRun]) -> dict[tuple[str, str], str]:
    """A name for each backbone: its own, and where several have the same, behind it what tells them apart."""
    names = {run.backbone: run.record.backbone for run in runs}
    found = {}
    for (known, dtype), name in names.items():
        alike = [one for one, other in names.items() if other == name]
        several_prints, several_types = (len({one[place] for one in alike}) > 1 for place in (0, 1))
        apart = [*([known[:8]] if several_prints else []), *([dtype or "unknown dtype"] if several_types else [])]
        found[known, dtype] = f"{name} ({' '.join(apart)})" if apart else name
    return found


def _by_size(runs: Sequence[FinishedRun]) -> list[list[FinishedRun]]:
    """The runs by about how many rows they were trained on; published few-shot files and whole sets are two."""
    found: list[list[FinishedRun]] = []
    for run in sorted(runs, key=lambda one: one.training_rows or 0):
        if not found or (run.training_rows or 0) > _MORE * (found[-1][-1].training_rows or 0):
            found.append([])
        found[-1].append(run)
    return found


def _one_metric(runs: Sequence[FinishedRun], metric: str | None) -> tuple[list[FinishedRun], list[LeftOut]]:
    """The runs with the main metric that most have, where none is asked for."""
    usual = metric or Counter(run.record.metric for run in runs).most_common(1)[0][0]
    others = [run for run in runs if metric is None and run.record.metric != usual]
    reasons = [LeftOut(run.folder, f"its main metric is {run.record.metric}, of others {usual}") for run in others]
    return [run for run in runs if run not in others], reasons


def _same_test(runs: Sequence[FinishedRun]) -> tuple[list[FinishedRun], list[LeftOut]]:
    """The runs whose test rows are the column's."""
    seeds: dict[str, set[int]] = defaultdict(set)
    count: Counter[str] = Counter()
    for run in runs:
        seeds[_test(run)].add(run.record.seed)
        count[_test(run)] += 1
    order = sorted(seeds, key=lambda rows: (-len(seeds[rows]), -count[rows], rows))
    if len(seeds[order[0]]) > 1:
        of_seed: Mapping[int, str] = {run.record.seed: order[0] for run in runs}
    else:  # each seed has rows of its own
        of_seed = {seed: max(order, key=lambda rows: (seed in seeds[rows], count[rows])) for seed in _seeds(runs)}
    kept = [run for run in runs if _test(run) == of_seed[run.record.seed]]
    sizes = {_test(run): run.record.test.rows for run in runs}
    left = []
    for run in runs:
        own = of_seed[run.record.seed]
        if _test(run) != own:
            told = f"its {run.record.test.rows} test rows are others than the {sizes[own]} of the runs beside it"
            left.append(LeftOut(run.folder, f"{told} ({run.record.task}, seed {run.record.seed})"))
    return kept, left


def _seeds(runs: Iterable[FinishedRun]) -> list[int]:
    return sorted({run.record.seed for run in runs})


def _test(run: FinishedRun) -> str:
    """The test rows; of a version that recorded none their number alone."""
    return run.test_rows or f"{run.record.test.rows} rows"


def _column(runs: Sequence[FinishedRun], backbone: str, metric: str | None) -> Column:
    ordered = tuple(sorted(runs, key=lambda run: (run.record.seed, str(run.folder))))
    first = ordered[0]
    return Column(
        task=first.record.task,
        backbone=backbone,
        metric=metric or first.record.metric,
        shots=first.shots,
        training_rows=first.training_rows,
        test_rows=first.record.test.rows or 0,
        one_test=len({_test(run) for run in ordered}) == 1,
        label=first.record.task,
        runs=ordered,
    )


def _labelled(columns: Sequence[Column]) -> list[Column]:
    """The columns with labels that tell those of a backbone apart."""
    often = Counter((column.backbone, column.task) for column in columns)
    shots = Counter((column.backbone, column.task, column.shots) for column in columns)
    labelled = []
    for column in columns:
        label = column.task
        if often[column.backbone, column.task] > 1:
            alone = shots[column.backbone, column.task, column.shots] == 1
            few = [] if column.shots is None else [f"{column.shots} shots"]
            rows = [] if few and alone else [f"{column.training_rows} rows"]
            label = ", ".join([column.task, *few, *rows])
        labelled.append(replace(column, label=label))
    return labelled
