"""A table as grids of texts, which a terminal, Markdown and LaTeX show alike: scores, tests, costs, ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from softprompt.compare.formats.feet import chance, ranks_foot, scores_foot, task_foot
from softprompt.compare.ranks import LEVEL, Ranks
from softprompt.compare.table import Costs, Result, Sheet, Table

BEST, SECOND = "best", "second"


class Entry(NamedTuple):
    """A field of a grid.

    Attributes:
        text: in it.
        mark: `best` or `second` of its column, or empty.
    """

    text: str
    mark: str = ""

    def written(self, escaped: Callable[[str], str], marks: Mapping[str, str]) -> str:
        """The text in a language of documents.

        Args:
            escaped: gives a text that is shown as it is.
            marks: for each mark a text with `{}` where the marked one stands.
        """
        text = escaped(self.text)
        return marks[self.mark].replace("{}", text) if text and self.mark else text


@dataclass(frozen=True)
class Grid:
    """A table of texts; its first column is names, the others are figures.

    Attributes:
        title: above it.
        columns: their heads.
        rows: as long as the heads.
        foot: lines below it.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]
    foot: tuple[str, ...] = ()


def grids_of(table: Table) -> list[Grid]:
    """The grids of a table, sheet by sheet."""
    return [grid for sheet in table.sheets for grid in _of_sheet(sheet, table.baseline)]


def _of_sheet(sheet: Sheet, baseline: str | None) -> Iterator[Grid]:
    yield scores_grid(sheet, baseline)
    for column in sheet.columns:
        yield tests_grid(sheet, column.label, baseline)
    yield costs_grid(sheet)
    if sheet.ranks is not None:
        yield ranks_grid(sheet, sheet.ranks)


def scores_grid(sheet: Sheet, baseline: str | None) -> Grid:
    """Methods by tasks, and the suites' averages."""
    standing = {column.label: sheet.standing(column.label) for column in sheet.columns}
    best = {name: f"{max(one.mean for one in own.values()):.3f}" for name, own in sheet.suites.items()}
    rows = []
    for method in sheet.methods:
        labels = [column.label for column in sheet.columns]
        entries = [Entry(method), *(Entry(score(sheet, method, one), _mark(standing[one], method)) for one in labels)]
        for name, own in sheet.suites.items():
            average = own.get(method)
            told = "" if average is None else with_deviation(average.mean, average.deviation)
            alone = len(own) == 1 < len(sheet.methods)
            entries.append(Entry(told, BEST if told.startswith(best[name]) and not alone else ""))
        rows.append(tuple(entries))
    metrics = {column.metric for column in sheet.columns}
    one = metrics.pop() if len(metrics) == 1 else None
    heads = [column.label if one else f"{column.label} {column.metric}" for column in sheet.columns]
    foot = tuple(scores_foot(sheet, baseline))
    return Grid(f"{one or 'scores'} on {sheet.backbone}", ("method", *heads, *sheet.suites), tuple(rows), foot)


def _mark(standing: tuple[tuple[str, ...], tuple[str, ...]], method: str) -> str:
    best, second = standing
    return BEST if method in best else SECOND if method in second else ""


def score(sheet: Sheet, method: str, label: str) -> str:
    """A mean with its deviation, how many seeds it has where some are missing or failed, a star where it is sure."""
    failures, result = len(sheet.failures.get((method, label), ())), sheet.results.get((method, label))
    if result is None:
        return f"{failures} failed" if failures else ""
    seeds = seeds_told(sheet, method, label)
    part = ", ".join([*([seeds] if "/" in seeds else []), *([f"{failures} failed"] if failures else [])])
    star = "*" if sheet.whole(method, label) and _sure(result) else ""
    return f"{with_deviation(result.mean, result.deviation)}{f' ({part})' if part else ''}{star}"


def _sure(result: Result) -> bool:
    """Whether a comparison over all seeds, and more than one, is below the level."""
    found = result.comparison
    if found is None or found.p_holm is None:
        return False
    return found.seeds == len(result.scores) > 1 and found.p_holm < LEVEL


def seeds_told(sheet: Sheet, method: str, label: str) -> str:
    """How many seeds a mean is of, and of how many where some are missing or failed: `3`, or `2/3`."""
    result = sheet.results.get((method, label))
    known = {seed for (_, column), own in sheet.results.items() if column == label for seed in own.scores}
    known |= {one.seed for one in sheet.failures.get((method, label), ())}
    done = 0 if result is None else len(result.scores)
    return f"{done}/{len(known)}" if done < len(known) else str(done)


def with_deviation(mean: float, deviation: float | None) -> str:
    """As papers print it: 0.853 ±.012."""
    if deviation is None:
        return f"{mean:.3f}"
    return f"{mean:.3f} ±{deviation:.3f}".replace("±0.", "±.")


def tests_grid(sheet: Sheet, label: str, baseline: str | None) -> Grid:
    """One task: intervals, and the comparison with the baseline."""
    column = next(one for one in sheet.columns if one.label == label)
    own = {method: sheet.results[method, label] for method in sheet.methods if (method, label) in sheet.results}
    compared = any(result.comparison is not None for result in own.values())
    failed = {method: len(runs) for (method, one), runs in sheet.failures.items() if one == label}
    heads = ["method", column.metric, "95 % interval", "seeds", *(["failed"] if failed else [])]
    heads += ["diff.", "p seeds", "p rows", "Holm"] if compared else []
    rows = []
    for method in [*sorted(own, key=lambda one: -own[one].mean), *(one for one in failed if one not in own)]:
        entries = [Entry(method), *_spread(own.get(method), _mark(sheet.standing(label), method))]
        entries.append(Entry(seeds_told(sheet, method, label)))
        entries += [Entry(str(failed.get(method, "")))] if failed else []
        rows.append((*entries, *(_comparison(own.get(method)) if compared else ())))
    foot = tuple(task_foot(sheet, label, baseline))
    return Grid(f"{label} on {sheet.backbone}, {column.test_rows} test rows", tuple(heads), tuple(rows), foot)


def _spread(result: Result | None, mark: str) -> list[Entry]:
    """A mean and its interval; nothing where no run gave a score."""
    if result is None:
        return [Entry(""), Entry("")]
    ends = "" if result.interval is None else f"{result.interval.low:.3f}-{result.interval.high:.3f}"
    return [Entry(with_deviation(result.mean, result.deviation), mark), Entry(ends)]


def _comparison(result: Result | None) -> list[Entry]:
    found = None if result is None else result.comparison
    if found is None:
        return [Entry("")] * 4
    return [Entry(signed(found.difference)), *(Entry(chance(p)) for p in (found.p_seeds, found.p_rows, found.p_holm))]


def signed(difference: float) -> str:
    """A difference in three digits; what rounds to nothing is not below it."""
    return f"{round(difference, 3) + 0.0:+.3f}"  # -0.0 + 0.0 is 0.0


def costs_grid(sheet: Sheet) -> Grid:
    """What the methods cost over the tasks."""
    heads: tuple[str, ...] = ("method", "trained", "tunable %", "stored", "seconds", "rows/s", "search s")
    labels = _of_all(sheet)
    rows = tuple((Entry(method), *map(Entry, _cost(_of(sheet, method, labels)))) for method in sheet.methods)
    foot: tuple[str, ...] = (
        "trained, stored: scalars, the most of the tasks; seconds, rows/s: of training, means of the tasks",
        "tunable %: trained for a hundred of the backbone's parameters, in brackets without the head",
        "search s: what training the method's other settings among these runs took",
    )
    if not any(row[-1].text for row in rows):  # most tables hold no search
        heads, rows, foot = heads[:-1], tuple(row[:-1] for row in rows), foot[:-1]
    if not labels:
        foot = (*foot, "no task is of all methods: each is over its own tasks, which are not to be compared")
    elif len(labels) < len(sheet.columns):
        foot = (*foot, f"over the tasks alone that all methods have: {', '.join(sorted(labels))}")
    return Grid(f"costs on {sheet.backbone}", heads, rows, foot)


def _of_all(sheet: Sheet) -> set[str]:
    """The tasks on which every method with a score has one: costs over others would be those of other work."""
    scored = {method for method, _ in sheet.results}
    return {one.label for one in sheet.columns if all((method, one.label) in sheet.results for method in scored)}


def _of(sheet: Sheet, method: str, labels: set[str]) -> list[Costs]:
    own = {label: result.costs for (name, label), result in sheet.results.items() if name == method}
    return [costs for label, costs in own.items() if not labels or label in labels]


def _cost(costs: list[Costs]) -> Iterator[str]:
    if not costs:
        yield from [""] * 6
        return
    yield f"{max(one.trained for one in costs):,}"
    shares = [one.tunable for one in costs if one.tunable is not None]
    yield max(shares, key=lambda one: one.percent).told() if shares else ""
    yield f"{max(one.stored for one in costs):,}"
    yield f"{sum(one.seconds for one in costs) / len(costs):,.1f}"
    rates = [one.rows_per_second for one in costs if one.rows_per_second is not None]
    yield f"{sum(rates) / len(rates):,.1f}" if rates else ""
    searches = [one.search_seconds for one in costs if one.search_seconds is not None]
    yield f"{sum(searches):,.0f}" if searches else ""


def ranks_grid(sheet: Sheet, ranks: Ranks) -> Grid:
    """Average ranks, and what the tests say of them."""
    pairs = zip(ranks.methods, ranks.mean, strict=True)
    rows = tuple((Entry(method), Entry(f"{mean:.2f}", BEST if mean == ranks.mean[0] else "")) for method, mean in pairs)
    title = f"average rank over {ranks.tasks} tasks on {sheet.backbone}"
    return Grid(title, ("method", "rank"), rows, tuple(ranks_foot(sheet, ranks)))


def told(table: Table) -> Iterator[str]:
    """What stands below all grids: notes, what failed, and what was left out."""
    for note in table.notes:
        yield f"note: {note}"
    for folder, line in failed(table):
        yield f"{folder}: {line}"
    for one in table.left_out:
        yield f"left out: {one.folder}: {one.reason}"


def failed(table: Table) -> Iterator[tuple[str, str]]:
    """The folders of the runs that gave no score, and what became of each."""
    for sheet in table.sheets:
        for runs in sheet.failures.values():
            yield from ((str(one.folder), one.line) for one in runs)
