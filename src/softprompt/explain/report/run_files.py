"""The files of a finished run, as far as they are there: what is missing is told in the part that it would be in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from softprompt.compare.gathering import identity_in
from softprompt.errors import SoftPromptError
from softprompt.evaluation.predictions import PREDICTIONS, Predictions, read_predictions
from softprompt.files.places import METRICS, RUN, TASKS, folder_of, refuse_several
from softprompt.guards.paths import path_of
from softprompt.storage.record import Description, read_description
from softprompt.tasks import Row, Splits, Task
from softprompt.tasks.row_hash import RowsHash
from softprompt.training.divergence import described
from softprompt.training.finished import RunMetrics, read_metrics
from softprompt.training.own_rows import reread


@dataclass(frozen=True)
class RunFiles:
    """A finished run's folder.

    Attributes:
        folder: where it is.
        metrics: what `metrics.json` holds.
        identity: what `run.json` holds; empty where it is missing.
        described: what `prompt.json` says; None where it cannot be read.
        predictions: the answers to the test rows; None where there are none.
        lacking: what could not be read, a line each.
    """

    folder: Path
    metrics: RunMetrics
    identity: Mapping[str, object]
    described: Description | None
    predictions: Predictions | None
    lacking: tuple[str, ...]

    @property
    def name(self) -> str:
        """What the run is called beside another."""
        return self.folder.name or str(self.folder)

    @property
    def diverged(self) -> str:
        """How the run diverged, and of which state its scores are; empty where it did not."""
        fault = self.metrics.diverged
        if fault is None:
            return ""
        state = f", that of step {fault['best_step']}" if "best_step" in fault else ""
        return f"this {described(fault)}; the scores and the prompt are of its best finite state{state}."

    @property
    def task(self) -> Task | None:
        """What the run was trained for, without its rows; None where neither file says it."""
        if self.described is not None:
            return self.described.task
        told = self.identity.get("task_definition")
        try:
            return Task(**told) if isinstance(told, dict) else None
        except (SoftPromptError, TypeError, ValueError, AttributeError):
            return None

    def rows_hash(self, part: str) -> RowsHash | None:
        """The hash of the rows of `train`, `validation` or `test`; None where none was recorded."""
        parts = self.identity.get("rows")
        found = parts.get(part) if isinstance(parts, dict) else None
        try:
            return None if found is None else RowsHash.model_validate(found)
        except ValueError:
            return None


def read_run_files(folder: str | PathLike[str]) -> RunFiles:
    """Read the folder of a finished run.

    Raises:
        SoftPromptError: there is none, or its `metrics.json` is missing or damaged.
    """
    place = path_of(folder, "run")
    if not place.is_dir():
        raise SoftPromptError(f"{place}: no such folder; name the --out folder of a run")
    refuse_several(place)
    if not (place / METRICS).is_file():
        if (place / RUN).is_file():
            raise SoftPromptError(f"{place}: this run is not finished: softprompt train --resume --out {place} goes on")
        raise SoftPromptError(f"{place}: no finished run in it (no {METRICS}); name the --out folder of a run")
    metrics = read_metrics(place / METRICS)
    lacking: list[str] = []
    return RunFiles(
        place,
        metrics,
        _identity(place, lacking),
        _described(place, lacking),
        _predictions(place, lacking),
        tuple(lacking),
    )


def _identity(place: Path, lacking: list[str]) -> Mapping[str, object]:
    of_several = place.parent.name == TASKS and (place.parent.parent / RUN).is_file()
    if not of_several and not (place / RUN).is_file():
        lacking.append(f"{RUN} is missing: rows and options of the run are not told")
        return {}
    try:
        return identity_in(place)
    except SoftPromptError as error:
        lacking.append(str(error))
        return {}


def _described(place: Path, lacking: list[str]) -> Description | None:
    try:
        return read_description(folder_of(place))
    except SoftPromptError as error:
        lacking.append(f"the prompt: {error}")
        return None


def _predictions(place: Path, lacking: list[str]) -> Predictions | None:
    if not (place / PREDICTIONS).is_file():
        lacking.append(f"{PREDICTIONS} is missing, as earlier versions wrote none: answers are not told row by row")
        return None
    try:
        return read_predictions(place / PREDICTIONS)
    except SoftPromptError as error:
        lacking.append(str(error))
        return None


@dataclass(frozen=True)
class OwnRows:
    """The rows of a run, read again from where they were.

    Attributes:
        task: with its source.
        splits: the rows.
        same: whether the test rows are those that were recorded, by their hashes.
    """

    task: Task
    splits: Splits
    same: bool

    @property
    def test(self) -> list[Row]:
        """The held-out rows."""
        return self.splits.test


def own_rows(files: RunFiles) -> OwnRows:
    """Read the rows of a run again.

    Raises:
        SoftPromptError: they are not on this machine, or the run recorded no place; the hub is not asked.
    """
    try:
        loaded, splits = reread(files.folder)
    except SoftPromptError as error:
        raise SoftPromptError(f"{error}: give labelled rows with --data") from None
    recorded = files.rows_hash("test")
    return OwnRows(loaded, splits, recorded is not None and RowsHash.of(splits.test) == recorded)
