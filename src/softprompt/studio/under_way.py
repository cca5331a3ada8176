"""How far a run has come that is not finished, from its own checkpoints: its evaluations, and its steps."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from softprompt.errors import SoftPromptError
from softprompt.files.documents import LONG, read_document

_EACH = "checkpoint-"  # and its step
_FILES = ("state.json", "trainer_state.json")
_STATE = "state"  # of a run: its checkpoints, those of a course's stages in folders of their own


@dataclass(frozen=True)
class UnderWay:
    """What a run's checkpoints tell.

    Attributes:
        history: the evaluations so far, those of one stage after another.
        step: of the last checkpoint; None before the first.
        steps: that its stage will have taken.
        changed: when that was written, in seconds since 1970.
    """

    history: tuple[Mapping[str, object], ...] = ()
    step: int | None = None
    steps: int | None = None
    changed: float = 0.0


class Checkpoints:
    """What the checkpoints of runs tell, read again where a file of them changed."""

    def __init__(self) -> None:
        """Nothing was read yet."""
        self._known: dict[Path, tuple[object, UnderWay]] = {}

    def under_way(self, run: Path) -> UnderWay:
        """What a run's checkpoints tell now; one that is written or taken away meanwhile is passed over."""
        last = _last(run)
        signs = [(path, _written(path), *(sign_of(path / name) for name in _FILES)) for path in last]
        known = self._known.get(run)
        if known is None or known[0] != signs:
            known = self._known[run] = (signs, _told(last))
        return known[1]

    def forget(self, run: Path) -> None:
        """Let go of what is known of a run that is gone."""
        self._known.pop(run, None)


def _last(run: Path) -> list[Path]:
    """The last checkpoint of each stage, in the order in which they were written."""
    last: dict[Path, Path] = {}
    for name, inside, _ in os.walk(run / _STATE):  # which passes over what is gone meanwhile, as glob does not
        place = Path(name)
        kept = [one.removeprefix(_EACH) for one in inside if one.startswith(_EACH)]
        inside[:] = [one for one in inside if not one.startswith(_EACH)]
        numbers = [int(one) for one in kept if one.isdecimal()]
        if numbers:
            last[place] = place / f"{_EACH}{max(numbers)}"
    return sorted(last.values(), key=_written)


def _told(last: Sequence[Path]) -> UnderWay:
    found = UnderWay()
    for path in last:
        try:
            told, trainer = (read_document(path / name, longest=LONG) for name in _FILES)
        except SoftPromptError:
            continue
        history = told.get("history")
        own = tuple(one for one in history if isinstance(one, dict)) if isinstance(history, list) else ()
        step, steps = (trainer.get(name) for name in ("global_step", "max_steps"))
        found = UnderWay(
            (*found.history, *own),
            step if isinstance(step, int) else None,
            steps if isinstance(steps, int) else None,
            _written(path),
        )
    return found


def sign_of(path: Path) -> tuple[int, int, int] | None:
    """What changes where a file is written anew; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
