"""The finished runs below any folders, and what of them cannot stand in a table, with the reason.

A run is told by its two files alone: `run.json` says what it was begun as, `metrics.json` what came out. So folders of
`train`, of `compare`, of `select` and of earlier versions are read alike, wherever they lie. Nothing is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from softprompt.errors import SoftPromptError
from softprompt.evaluation.predictions import PREDICTIONS, Predictions, read_predictions
from softprompt.files.documents import LONG, read_document
from softprompt.files.places import METRICS, RUN, TASKS
from softprompt.guards.paths import path_of
from softprompt.tasks.metrics import METRICS as SCORES
from softprompt.training.finished import RunMetrics, read_metrics

_INSIDE = frozenset({"state", "prompt", "shared"})  # folders of a run's own
_CLOSE = 1e-9  # a score that is computed again is the same but for the order of its sums


class LeftOut(NamedTuple):
    """A folder that is in no table, and why."""

    folder: Path
    reason: str


@dataclass(frozen=True)
class FinishedRun:
    """A run that can stand in a table.

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


def gather(folders: Sequence[str | os.PathLike[str]]) -> tuple[list[FinishedRun], list[LeftOut]]:
    """The finished runs in and below folders, by their paths, and what is left out.

    Links inside a folder are not followed.

    Raises:
        SoftPromptError: a folder that is none, or no run at all below them.
    """
    found: list[FinishedRun] = []
    left: list[LeftOut] = []
    for place in dict.fromkeys(place for folder in folders for place in _places(path_of(folder, "run"))):
        run = _run(place)
        if isinstance(run, LeftOut):
            left.append(run)
        elif run is not None:
            found.append(run)
    if not found and not left:
        told = ", ".join(map(str, folders)) or "no folder"
        raise SoftPromptError(f"{told}: no run there: name folders that softprompt train or compare wrote")
    return _once(found, left), left


def _places(folder: Path) -> Iterator[Path]:
    """Folders below one that hold a run, finished or not."""
    if not folder.is_dir():
        raise SoftPromptError(f"{folder} is no folder: name folders of runs")
    for place, inside, files in os.walk(folder):
        inside[:] = sorted(name for name in inside if name not in _INSIDE and not name.startswith("."))
        if RUN in files or (METRICS in files and Path(place).parent.name == TASKS):
            yield Path(place)


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
    identity = _identity(folder)
    if TASKS in identity:
        if (folder / METRICS).is_file():
            return None
        raise SoftPromptError("not finished: the command that began it goes on with it")
    if "method" not in identity or "task" not in identity:
        raise SoftPromptError(f"{RUN} tells of no method on a task")
    if not (folder / METRICS).is_file():
        raise SoftPromptError("not finished: the command that began it goes on with it")
    record = read_metrics(folder / METRICS)
    if record.diverged is not None:
        raise SoftPromptError("diverged, so that its score is that of an earlier state")
    if not record.test.figures():
        raise SoftPromptError("no test rows were scored")
    return FinishedRun(folder, record, identity, _predictions(folder, record))


def _identity(folder: Path) -> Mapping[str, object]:
    """What `run.json` holds; of one of several tasks what the run of all says of it."""
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
