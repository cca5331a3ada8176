"""One result of a table: the scores of a method's runs on a task, with interval, test and costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev

from scipy.stats import t

from softprompt.compare.comparable import Column
from softprompt.compare.gathering import FinishedRun
from softprompt.compare.resampling import Answered, Units, chance_over_rows, interval
from softprompt.compare.significance import holm, larger, paired
from softprompt.compare.table import Comparison, Costs, Interval, Result

ROWS_AND_SEEDS, SEEDS, ROWS = "rows and seeds", "seeds", "rows"


def results_of(
    column: Column, runs: Mapping[str, Mapping[int, FinishedRun]], baseline: str | None, searched: Mapping[str, float]
) -> dict[str, Result]:
    """The results of a column by method, each compared with the baseline's, where that has runs of the same seeds.

    Args:
        column: of the table.
        runs: by method and seed.
        baseline: a method, or None.
        searched: by method the seconds of training its other settings.
    """
    seeds = sorted({seed for own in runs.values() for seed in own})
    answered = {run.folder: _answered(run, column.metric) for own in runs.values() for run in own.values()}
    results = {
        method: _result(own, seeds, _units(own, answered, column.metric), column.metric, searched.get(method))
        for method, own in runs.items()
    }
    if baseline not in results:
        return results
    compared: dict[str, Comparison] = {}
    for method, result in results.items():
        both = [seed for seed in result.scores if seed in results[baseline].scores]
        if method != baseline and both:
            pair = [{seed: one.runs[seed] for seed in both} for one in (result, results[baseline])]
            units = [_units(own, answered, column.metric) for own in pair]
            compared[method] = _compared((result, results[baseline]), both, units)
    adjusted = holm([one.p for one in compared.values()])
    told = {method: replace(one, p_holm=p) for (method, one), p in zip(compared.items(), adjusted, strict=True)}
    return {method: replace(result, comparison=told.get(method)) for method, result in results.items()}


def _answered(run: FinishedRun, metric: str) -> Answered | None:
    """The answers of a run; None where it has none that the metric is made of."""
    if run.predictions is None or run.test_rows is None or not run.answers(metric):
        return None
    return Answered(run.test_rows, run.predictions.sums(metric))


def _units(runs: Mapping[int, FinishedRun], answered: Mapping[Path, Answered | None], metric: str) -> Units | None:
    """The answers of some runs; None where one has none."""
    found = {seed: one for seed, run in runs.items() if (one := answered[run.folder]) is not None}
    return Units.of(metric, found) if len(found) == len(runs) else None


def _result(
    runs: Mapping[int, FinishedRun], seeds: Sequence[int], units: Units | None, metric: str, searched: float | None
) -> Result:
    scores = {seed: float(run.record.test.value(metric) or 0.0) for seed, run in runs.items()}
    values = list(scores.values())
    return Result(
        scores=scores,
        missing=tuple(seed for seed in seeds if seed not in scores),
        mean=fmean(values),
        deviation=stdev(values) if len(values) > 1 else None,
        interval=_interval(runs, values, units, metric),
        comparison=None,
        costs=costs_of(list(runs.values()), searched),
        runs=runs,
    )


def _interval(
    runs: Mapping[int, FinishedRun], scores: Sequence[float], units: Units | None, metric: str
) -> Interval | None:
    """Over rows and seeds, or over what of the two there is."""
    ends = None if units is None else interval(units)
    if ends is not None:
        return Interval(*ends, ROWS_AND_SEEDS if len(scores) > 1 else ROWS)
    if len(scores) > 1:
        spread = stdev(scores) / len(scores) ** 0.5
        if spread == 0:
            return None
        low, high = t.interval(0.95, len(scores) - 1, loc=fmean(scores), scale=spread)
        return Interval(float(low), float(high), SEEDS)
    record = next(iter(runs.values())).record
    told = record.test.interval
    return None if told is None or record.metric != metric else Interval(float(told[0]), float(told[1]), ROWS)


def _compared(pair: tuple[Result, Result], seeds: Sequence[int], units: Sequence[Units | None]) -> Comparison:
    """A result and the baseline's over the seeds of both."""
    ours, theirs = pair
    by_seed = paired([ours.scores[seed] for seed in seeds], [theirs.scores[seed] for seed in seeds])
    own, other = units
    same = own is not None and other is not None and own.matches(other)
    p_rows = chance_over_rows(own, other) if own is not None and other is not None and same else None
    return Comparison(by_seed.mean, by_seed.pairs, by_seed.p, p_rows, larger(by_seed.p, p_rows))


def costs_of(runs: Sequence[FinishedRun], searched: float | None) -> Costs:
    """What runs cost together; at least one."""
    records = [run.record for run in runs]
    shares = [one.tunable for one in records if one.tunable is not None]
    rates = [one.rows_per_second for one in records if one.rows_per_second is not None]
    return Costs(
        trained=max(one.trained_parameters for one in records),
        stored=max(one.stored_parameters for one in records),
        stored_bytes=max(one.stored_bytes for one in records),
        tunable=max(shares, key=lambda one: one.percent, default=None),
        seconds=fmean(one.train_seconds for one in records),
        rows_per_second=fmean(rates) if rates else None,
        peak_memory_bytes=max(one.peak_memory_bytes for one in records),
        search_seconds=searched,
    )
