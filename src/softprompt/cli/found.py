"""What `softprompt search` shows of what it found."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from softprompt.cli.common import table, tell

if TYPE_CHECKING:
    from pydantic import JsonValue

    from softprompt.compare.beside import SearchRecord

FIGURES = "search.json"  # in the folder of a search
_LISTED = 5


def show_found(record: SearchRecord, out: Path) -> None:
    """Show what was tried, why what was taken is taken, and how it does on the test rows."""
    best = sorted((one for one in record.trials if one.scores), key=lambda one: -mean(one.scores))
    tried = [best[0], *(one for one in best[1:] if one.number == 0 or one in best[:_LISTED])]
    table(
        f"{len(record.trials)} trials, the default and the best by {_measured(record.folds)}",
        ["trial", record.metric, "values"],
        [[_name(one.number), f"{mean(one.scores):.3f}", _words(one.values)] for one in tried],
        right=(0, 1),
    )
    for line in _why(record):
        tell(line)
    table(
        f"{record.metric} of the test rows, seeds {', '.join(map(str, record.arms[0].seeds))}",
        ["", "mean", "dev.", "by seed", "bytes"],
        [
            [
                one.name,
                f"{one.mean:.3f}",
                "" if one.deviation is None else f"{one.deviation:.3f}",
                " ".join(f"{value:.3f}" for value in one.test),
                f"{one.stored_bytes:,}",
            ]
            for one in record.arms
        ],
        right=(1, 2, 4),
    )
    tell(f"figures: {out / FIGURES}")


def _why(record: SearchRecord) -> list[str]:
    cost = f"{len(record.trials)} trials took {record.seconds:.0f} seconds of work"
    cut = sum(one.cut for one in record.trials)
    failed = sum(not one.scores for one in record.trials) - cut
    cost += f", {cut} of them were cut" if cut else ""
    cost += f", {failed} of them failed" if failed else ""
    if record.best == 0:
        return [cost, "the default is the best: it is kept"]
    gain = f"trial {record.best} is better than the default by {record.gain:.3f}, standard error {record.error:.3f}"
    return [cost, f"{gain}: {'it is taken' if record.taken else 'within noise, so the default is kept'}"]


def _measured(folds: int) -> str:
    return "the validation rows" if folds == 1 else f"{folds} folds held out in turn"


def _name(number: int) -> str:
    return f"{number}" if number else "0, default"


def _words(values: Mapping[str, JsonValue]) -> str:
    return ", ".join(
        f"{name}={value:.3g}" if isinstance(value, float) else f"{name}={value}" for name, value in values.items()
    )
