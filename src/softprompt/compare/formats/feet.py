"""Lines below grids and among the notes: on which seeds and tasks figures rest, and why a rank or a test is missing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

from softprompt.compare.ranks import LEVEL, Ranks
from softprompt.compare.table import Result, Sheet

_SHORT, _FAILED = "(n/m): over n of m seeds", "failed: runs without a score"
_ONE = "one seed"
_APART = "such a mean is neither best nor second, and has no star, no rank and no part in an average"


def scores_foot(sheet: Sheet, baseline: str | None) -> Iterator[str]:
    """What scores rest on."""
    seeds = _seeds(len(one.scores) for one in sheet.results.values())
    yield "of one seed each" if seeds == _ONE else f"means over {seeds}, and their deviations"
    yield from _partial(sheet, [column.label for column in sheet.columns])
    if unmarked := [column.label for column in sheet.columns if not sheet.standing(column.label)[0]]:
        yield f"none is marked on {', '.join(unmarked)}: fewer than two methods have all seeds there"
    if baseline is not None:
        yield f"*: another than {baseline} over all seeds, two or more, p < {LEVEL} after Holm's correction"


def task_foot(sheet: Sheet, label: str, baseline: str | None) -> Iterator[str]:
    """What the intervals and tests of a task rest on."""
    own = {method: result for (method, column), result in sheet.results.items() if column == label}
    over = sorted({result.interval.over for result in own.values() if result.interval is not None})
    if over:
        yield f"intervals over {' or '.join(over)}"
    yield from _partial(sheet, [label])
    if any(result.comparison is not None for result in own.values()):
        yield f"diff.: to {baseline}; p seeds: paired t test over seeds; p rows: permutation test over rows"
        yield "Holm: the larger p after Holm's correction for the comparisons of this table"
        yield from _compared(own)


def chance(p: float | None) -> str:
    """A probability in three digits; empty where there is none."""
    return "" if p is None else f"{p:.3f}" if p >= 0.001 else "<0.001"


def _seeds(counts: Iterator[int]) -> str:
    found = sorted(counts)
    least, most = found[0], found[-1]
    return f"{least} to {most} seeds" if least < most else _ONE if most == 1 else f"{most} seeds"


def _partial(sheet: Sheet, labels: Collection[str]) -> Iterator[str]:
    """What becomes of means that lack seeds, where there are such."""
    failed = any(label in labels for _, label in sheet.failures)
    if failed or any(result.missing for (_, label), result in sheet.results.items() if label in labels):
        yield "; ".join([_SHORT, *([_FAILED] if failed else []), _APART])


def _compared(own: Mapping[str, Result]) -> Iterator[str]:
    """Of how many seeds comparisons are where that is not all, and why a p is missing."""
    found = {method: result.comparison for method, result in own.items() if result.comparison is not None}
    every = max(len(result.scores) + len(result.missing) for result in own.values())
    fewer: dict[int, list[str]] = defaultdict(list)
    for method, one in found.items():
        if one.seeds < every:
            fewer[one.seeds].append(method)
    if fewer:
        told = ", ".join(f"{seeds} ({', '.join(methods)})" for seeds, methods in sorted(fewer.items()))
        yield f"compared over the seeds that both have, which are fewer than {every}: {told}"
    if any(one.seeds == 1 for one in found.values()):
        yield "no p seeds of one seed"
    if any(one.seeds > 1 and one.p_seeds is None for one in found.values()):
        yield "no p seeds where differences do not vary"
    if any(one.p_rows is None for one in found.values()):
        yield "no p rows where answers are missing, all alike, or of other rows"


def ranks_foot(sheet: Sheet, ranks: Ranks) -> Iterator[str]:
    """What ranks rest on, and what the tests say of them."""
    labels = [column.label for column in sheet.columns]
    counts = {len(sheet.results[method, label].scores) for method in ranks.methods for label in labels}
    if len(counts) > 1:
        yield f"tasks count alike, though their means are over {_seeds(iter(counts))}"
    if ranks.chance is not None:
        told = chance(ranks.chance)
        yield f"Friedman's test that all are alike: p {told if told.startswith('<') else f'= {told}'}"
    else:
        few = "it needs three methods" if len(ranks.methods) < 3 else "all have the same ranks"
        yield f"no Friedman's test: {few}"
    line = f"Nemenyi, {100 * LEVEL:.0f} %: two methods differ where their ranks are {ranks.distance:.2f} apart or more"
    yield line
    if ranks.distance > (widest := len(ranks.methods) - 1):
        yield f"no two ranks can be so far apart, but {widest} at most: {ranks.tasks} tasks are too few for that test"
