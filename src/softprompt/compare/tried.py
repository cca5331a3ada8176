"""What the cells of a trial came to: figures of what they were measured on, curves on the way, seconds and faults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from softprompt.compare.cells import Cell
from softprompt.compare.choice import Score
from softprompt.compare.executor import Event
from softprompt.compare.pausing import best_until, curve
from softprompt.files.places import METRICS
from softprompt.storage.record import Measured
from softprompt.training.finished import read_metrics


def measured(cells: Sequence[Cell], folds: int) -> list[Score]:
    """What the cells of a trial come to: each on the fold that was held out, or on the validation rows.

    Args:
        cells: that are finished.
        folds: that the trial is measured on; 1 for the validation rows.
    """
    found = []
    for cell in cells:
        record = read_metrics(Path(cell.folder) / METRICS)
        own: Measured = record.validation if folds == 1 else record.test
        value, ends = own.value(record.metric), own.interval
        assert value is not None  # as `RunMetrics` makes sure of
        assert ends is not None
        found.append((float(value), (float(ends[0]), float(ends[1]))))
    return found


def early(cell: Cell, metric: str) -> float | None:
    """What the validation curve of a run came to where it is judged; None where it cannot be.

    Args:
        cell: that has paused, or is finished.
        metric: the task's main one.
    """
    return best_until(curve(Path(cell.folder)), cell.pause or 0, metric)


def ended(cells: Sequence[Cell], ends: Mapping[str, Event], before: float) -> tuple[float, str]:
    """The seconds of a trial's cells, and the first fault; empty for none.

    Args:
        cells: of the trial.
        ends: of each, by its name.
        before: seconds that they took to the rung.
    """
    faults = [ends[cell.name].line for cell in cells if ends[cell.name].kind == "failed"]
    trained, told = 0.0, before
    for cell in cells:
        end = ends[cell.name]
        seconds = end.found.get("seconds")
        told += seconds if isinstance(seconds, float) else 0.0
        trained += read_metrics(Path(cell.folder) / METRICS).train_seconds if end.kind == "done" else 0.0
    return max(trained, told), faults[0] if faults else ""  # what went on after a stop took longer than now
