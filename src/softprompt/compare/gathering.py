"""The finished runs below any folders, those that failed, and what else cannot stand in a table, with the reason.

A run is told by its two files alone: `run.json` says what it was begun as, `metrics.json` what came out. So folders of
`train`, of `compare`, of `select` and of earlier versions are read alike, wherever they lie. Nothing is loaded. Runs
that diverged say so themselves; cells that failed stand in the ledger of their table. The trials of a search are no
runs of a table: they were measured on rows to choose by.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from softprompt.compare.ledger import Outcome, outcomes_of
from softprompt.compare.walking import walked
from softprompt.errors import SoftPromptError
from softprompt.evaluation.predictions import PREDICTIONS, Predictions, read_predictions
from softprompt.files.documents import LONG, read_document
from softprompt.files.places import CELLS, LEDGER, METRICS, RUN, TASKS
from softprompt.tasks.metrics import METRICS as SCORES
from softprompt.training.finished import RunMetrics, read_metrics

_TRIED = "they were measured on rows to choose by"
_CLOSE = 1e-9  # a score that is computed again is the same but for the order of its sums
_UNFINISHED = "not finished: the command that began it goes on with it, train and multitask with --resume"


class LeftOut(NamedTuple):
    """A folder that is in no table, and why."""

    folder: Path
    reason: str


class FailedCell(NamedTuple):
    """A cell of a table that ended in a fault, and how its ledger tells it."""

    folder: Path
    outcome: Outcome


@dataclass(frozen=True)
class FinishedRun:
    """A run with its metrics.

    Attributes:
        folder: that it lies in.
        record: its metrics.
        identity: what `run.json` holds, or of one of several tasks its part of it.
        predictions: its answers to the test rows; None where the folder has none that belong to its score.
    """

    folder: Path
    record: RunMetrics
    identity: Mapping[str, object]
    predictions: Predictions | None

    def answers(self, metric: str) -> bool:
        """Whether the metric can be made of its answers."""
        return self.predictions is not None and self.predictions.kind in _kinds(metric)

    def part(self, name: str) -> Mapping[str, object]:
        """An object of the identity; empty where an earlier version wrote none."""
        return _mapping(self.identity.get(name))

    @property
    def shots(self) -> int | None:
        """Rows a class that were drawn to train on; None for all that there are."""
        found = self.identity.get("shots")
        return found if isinstance(found, int) else None

    @property
    def training_rows(self) -> int | None:
        """How many; None in runs of versions that did not record them."""
        found = _mapping(self.part("rows").get("train")).get("count")
        return found if isinstance(found, int) else None

    @property
    def test_rows(self) -> str | None:
        """A hash of the test rows in their order; None in runs of versions that recorded none."""
        found = _mapping(self.part("rows").get("test"))
        if not found:
            return None
        return blake2b(
            repr([found.get(name) for name in ("count", "texts", "labels")]).encode(), digest_size=8
        ).hexdigest()

    @property
    def backbone(self) -> tuple[str, str]:
        """What is the same backbone: a hash of its fingerprint, or its name where there is none, and its dtype."""
        found = self.part("fingerprint")
        known = str(found.get("weights", ""))[:16] + str(found.get("head", ""))[:16]
        return known or self.record.backbone, self.record.dtype or ""


class Gathered(NamedTuple):
    """What lies in and below folders.

    Attributes:
        finished: runs that can stand in a table.
        diverged: runs whose score is that of an earlier state.
        failed: cells that ended in a fault.
        cells: how the cells ended of which a ledger tells, by their folders.
        left: what is left out.
    """

    finished: list[FinishedRun]
    diverged: list[FinishedRun]
    failed: list[FailedCell]
    cells: Mapping[Path, Outcome]
    left: list[LeftOut]


def gather(folders: Sequence[str | os.PathLike[str]], known: Mapping[Path, Outcome] | None = None) -> Gathered:
    """The runs in and below folders, by their paths.

    Links inside a folder are not followed.

    Args:
        folders: to be looked through.
        known: how cells ended, by their folders, beside those of which ledgers in the folders tell.

    Raises:
        SoftPromptError: a folder that is none, or no run at all below them.
    """
    found: list[FinishedRun] = []
    left: list[LeftOut] = []
    places, cells = _places(folders, left)
    cells |= known or {}
    for place in places:
        run = None if place in cells and cells[place].state == "failed" and not _ended(place) else _run(place)
        if isinstance(run, LeftOut):
            left.append(run)
        elif run is not None:
            found.append(run)
    failed = [FailedCell(place, own) for place, own in cells.items() if own.state == "failed" and not _ended(place)]
    if not found and not left and not failed:
        told = ", ".join(map(str, folders)) or "no folder"
        raise SoftPromptError(f"{told}: no run there: name folders that softprompt train or compare wrote")
    once = _once(found, left)
    finished = [run for run in once if run.record.diverged is None]
    return Gathered(finished, [run for run in once if run not in finished], failed, cells, left)


def _ended(folder: Path) -> bool:
    """Whether a run wrote what came out, be it that it diverged."""
    return (folder / METRICS).is_file()


def _places(folders: Sequence[str | os.PathLike[str]], left: list[LeftOut]) -> tuple[list[Path], dict[Path, Outcome]]:
    """Folders that hold a run, finished or not, and how the cells ended of which a ledger tells."""
    found = walked(folders)
    cells: dict[Path, Outcome] = {}
    for table in found.tables:
        cells |= _told_cells(table, left)
    left += [
        LeftOut(search, f"{count} {'run' if count == 1 else 'runs'} of a search's trials: {_TRIED}")
        for search, count in found.trials.items()
    ]
    return found.runs, cells


def _told_cells(table: Path, left: list[LeftOut]) -> dict[Path, Outcome]:
    """How the cells of a table ended; a ledger that cannot be read is told."""
    try:
        return {table / CELLS / name: one for name, one in outcomes_of(table).items()}
    except SoftPromptError as error:
        left.append(LeftOut(table / LEDGER, str(error).removeprefix(f"{table / LEDGER}: ")))
        return {}


def _run(folder: Path) -> FinishedRun | LeftOut | None:
    """The run of a folder, or why it is left out."""
    try:
        return _finished(folder)
    except SoftPromptError as error:
        return LeftOut(folder, str(error).removeprefix(f"{folder}: "))


def _finished(folder: Path) -> FinishedRun | None:
    """The run of a folder; None for the whole of several tasks, each of which has a run of its own.

    Raises:
        SoftPromptError: it cannot stand in a table.
    """
    identity = identity_in(folder)
    if TASKS in identity:
        if (folder / METRICS).is_file():
            return None
        raise SoftPromptError(_UNFINISHED)
    if "method" not in identity or "task" not in identity:
        raise SoftPromptError(f"{RUN} tells of no method on a task")
    if not (folder / METRICS).is_file():
        raise SoftPromptError(_UNFINISHED)
    record = read_metrics(folder / METRICS)
    if record.diverged is not None:
        return FinishedRun(folder, record, identity, None)
    if not record.test.figures():
        raise SoftPromptError("no test rows were scored")
    return FinishedRun(folder, record, identity, _predictions(folder, record))


def identity_in(folder: Path) -> Mapping[str, object]:
    """What `run.json` of a run's folder holds; of one of several tasks what the run of all says of it.

    Raises:
        SoftPromptError: there is none, or it is damaged.
    """
    if (folder / RUN).is_file():
        return read_document(folder / RUN, longest=LONG)
    several = read_document(folder.parent.parent / RUN, longest=LONG)
    tasks = _mapping(several.pop(TASKS, None))
    return {**several, **_mapping(tasks.get(folder.name)), "task": folder.name, "together_with": len(tasks) - 1}


def _predictions(folder: Path, record: RunMetrics) -> Predictions | None:
    """The answers behind the score of a run; None where it wrote none, as in earlier versions.

    Raises:
        SoftPromptError: the file is damaged, or another run's.
    """
    path = folder / PREDICTIONS
    if not path.is_file():
        return None
    found = read_predictions(path)
    expected, name = record.test.value(record.metric), record.metric
    if found.kind not in _kinds(name):
        return None  # a metric of a package that is not installed here
    if expected is None or abs(found.score(name) - expected) > _CLOSE:
        raise SoftPromptError(f"{path} does not give the {name} of {METRICS}: delete it, or restore both files")
    return found


def _kinds(metric: str) -> tuple[str, ...]:
    """The kinds of tasks that a metric is for; none where it, or its library, is not installed."""
    own = SCORES.get(metric)
    return () if own is None or (own.library is not None and find_spec(own.library) is None) else own.kinds


def _once(found: Sequence[FinishedRun], left: list[LeftOut]) -> list[FinishedRun]:
    """The runs without copies of runs that stand before them."""
    first: dict[tuple[str | None, str], Path] = {}
    kept = []
    for run in found:
        known = first.setdefault((run.record.sha256, repr(run.identity)), run.folder)
        if known == run.folder:
            kept.append(run)
        else:
            left.append(LeftOut(run.folder, f"a copy of {known}"))
    return kept


def _mapping(value: object) -> dict[str, object]:
    """A value of a file that may be damaged."""
    return value if isinstance(value, dict) else {}
