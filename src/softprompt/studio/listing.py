"""The runs of a folder, a line each, read without torch: what is damaged or of another version says so in its line.

A run's files are read as `softprompt results` reads them, but for what a table shows: two JSON files, checked against
their checksums. They are kept until they change, so that a page may ask every other second.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from softprompt.compare.walking import walked
from softprompt.errors import SoftPromptError
from softprompt.files.documents import LONG, plain, read_document
from softprompt.files.manifest import prove
from softprompt.files.places import METRICS, RUN, TASKS
from softprompt.studio.backbones import why_absent
from softprompt.studio.places import Root
from softprompt.studio.under_way import Checkpoints, UnderWay, sign_of

SCHEMA = 1  # of `metrics.json`; see `training.finished`, which would import torch
State = Literal["finished", "diverged", "training", "stopped", "broken"]


@dataclass(frozen=True)
class Line:
    """A run as the table shows it.

    Attributes:
        name: its path in the folder.
        state: it is finished, its loss was not finite, it trains, it stopped before its end, or it cannot be read.
        fault: why it cannot be read, or why it cannot be asked here; empty where it can.
        task: its name; this and what follows is empty or None where it is not known.
        method: its name.
        backbone: its name.
        seed: of the run.
        metric: the task's main one.
        value: of the test rows; of a run under way, of the last evaluation.
        interval: its 95 % interval.
        trained: scalars.
        stored: bytes of the prompt.
        seconds: of training.
        changed: when its last file was written, in seconds since 1970.
        under_way: how far it has come; None of a run that is finished.
        history: its evaluations.
    """

    name: str
    state: State
    fault: str = ""
    task: str = ""
    method: str = ""
    backbone: str = ""
    seed: int | None = None
    metric: str = ""
    value: float | None = None
    interval: tuple[float, float] | None = None
    trained: int | None = None
    stored: int | None = None
    seconds: float | None = None
    changed: float = 0.0
    under_way: UnderWay | None = field(default=None, repr=False)
    history: tuple[Mapping[str, object], ...] = field(default=(), repr=False)

    @property
    def answers(self) -> bool:
        """Whether its prompt can be asked here."""
        return self.state == "finished" and not self.fault


class _Told(BaseModel):
    """What a table takes from `metrics.json`."""

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)

    task: str
    method: str
    backbone: str
    seed: int
    metric: str
    test: dict[str, JsonValue]
    trained_parameters: int
    stored_bytes: int
    train_seconds: float | int
    history: list[dict[str, JsonValue]]
    diverged: JsonValue = None


class Listing:
    """The lines of a folder.

    Args:
        root: the folder.
    """

    def __init__(self, root: Root) -> None:
        """See the class."""
        self.root = root
        self._known: dict[Path, tuple[object, Line]] = {}
        self._checkpoints = Checkpoints()
        self._lock = threading.Lock()  # several pages ask at a time

    def lines(self) -> list[Line]:
        """A line for each run in the folder, by their names; none of an empty one."""
        found = walked([self.root.folder]).runs
        with self._lock:
            for gone in self._known.keys() - found:
                del self._known[gone]
                self._checkpoints.forget(gone)
            return [self._line(place) for place in found]

    def line(self, name: str) -> Line:
        """The line of a run.

        Raises:
            NotThere: there is none of that name.
        """
        place = self.root.run(name)
        with self._lock:
            return self._line(place)

    def _line(self, place: Path) -> Line:
        signs = tuple(sign_of(place / name) for name in (RUN, METRICS))
        known = self._known.get(place)
        line = known[1] if known is not None and known[0] == signs else _read(place, self.root.name_of(place))
        self._known[place] = (signs, line)
        if line.state in ("training", "stopped"):
            return _going(place, line, self._checkpoints.under_way(place))
        return replace(line, fault=why_absent(line.backbone, place)) if line.state == "finished" else line


def _read(place: Path, name: str) -> Line:
    changed = max((sign[1] / 1e9 for one in (RUN, METRICS) if (sign := sign_of(place / one)) is not None), default=0.0)
    try:
        return replace(_finished(place, name) if (place / METRICS).is_file() else _begun(place, name), changed=changed)
    except SoftPromptError as error:
        return Line(name, "broken", str(error).removeprefix(f"{place}/"), changed=changed)


def _finished(place: Path, name: str) -> Line:
    path = place / METRICS
    found = read_document(path, longest=LONG)
    version = found.get("schema_version")
    if isinstance(version, int) and version > SCHEMA:
        raise SoftPromptError(f"{path}: schema_version: {version}, but this version reads {SCHEMA}: update softprompt")
    prove(found, path)
    if (place / TASKS).is_dir() and "test" not in found:
        raise SoftPromptError(f"{place}: a run of several tasks, whose runs stand in lines of their own")
    try:
        told = _Told.model_validate({name: found[name] for name in _Told.model_fields if name in found})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise SoftPromptError(
            f"{path}: {'.'.join(map(str, first['loc']))}: {plain(first['msg'], quote=False)}"
        ) from None
    return Line(
        name,
        "finished" if told.diverged is None else "diverged",
        "" if told.diverged is None else "its loss was not finite; the best state before is kept",
        told.task,
        told.method,
        told.backbone,
        told.seed,
        told.metric,
        _number(told.test.get(told.metric)),
        _pair(told.test.get("interval")),
        told.trained_parameters,
        told.stored_bytes,
        told.train_seconds,
        history=tuple(told.history),
    )


def _begun(place: Path, name: str) -> Line:
    found = read_document(place / RUN, longest=LONG)
    task, method, backbone, seed = (found.get(key) for key in ("task", "method", "backbone", "seed"))
    if not (isinstance(task, str) and isinstance(method, str)):
        raise SoftPromptError(f"{place / RUN}: tells of no method on a task: the command that began it goes on with it")
    definition = found.get("task_definition")
    metrics = definition.get("metrics") if isinstance(definition, dict) else None
    metric = str(metrics[0]) if isinstance(metrics, list) and metrics else "accuracy"
    return Line(
        name,
        "stopped",
        task=task,
        method=method,
        backbone=backbone if isinstance(backbone, str) else "",
        seed=seed if isinstance(seed, int) else None,
        metric=metric,
    )


def _going(place: Path, line: Line, found: UnderWay) -> Line:
    """The line of a run that is not finished, as it stands now."""
    value = _number(found.history[-1].get(line.metric)) if found.history else None
    state: State = "training" if held(place) else "stopped"
    changed = max(line.changed, found.changed)
    return replace(line, state=state, value=value, changed=changed, under_way=found, history=found.history)


def held(folder: Path) -> bool:
    """Whether a process has a run's folder in its hands (`training.hold`): a lock that many may share is refused."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(handle)
    return False


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _pair(value: object) -> tuple[float, float] | None:
    ends = [_number(one) for one in value] if isinstance(value, list) else []
    return (ends[0], ends[1]) if len(ends) == 2 and ends[0] is not None and ends[1] is not None else None
