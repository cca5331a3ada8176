"""Pages that commands write about runs: where they lie, and the commands."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from softprompt.files.places import METRICS, REPORT
from softprompt.studio.state import Studio


def report_place(studio: Studio, run: Path) -> Path:
    """Where the report of a run lies or will lie: beside it or, where nothing can be written there, in the scratch."""
    if (run / REPORT).is_file() or not run.exists() or os.access(run, os.W_OK):
        return run / REPORT
    return studio.scratch / f"report-{_key([str(run)])}.html"


def is_made(studio: Studio, run: Path) -> bool:
    """Whether a run has a report that was written after it had finished."""
    place, metrics = report_place(studio, run), run / METRICS
    return place.is_file() and metrics.is_file() and place.stat().st_mtime >= metrics.stat().st_mtime


def report_words(studio: Studio, run: Path) -> list[str]:
    """The command that writes the report of a run, which may be begun later."""
    place = report_place(studio, run)
    beside = [] if place == run / REPORT else ["--out", str(place)]
    return ["softprompt", "report", str(run), *beside]


def comparison_key(names: Sequence[str]) -> str:
    """What the comparison of some runs is called, in whichever order they were picked."""
    return _key(sorted(names))


def comparison_place(studio: Studio, key: str) -> Path:
    """Where it lies or will lie; keys are digits and letters that `comparison_key` gave."""
    return studio.scratch / f"comparison-{key if key.isalnum() else 'none'}.html"


def comparison_words(studio: Studio, names: Sequence[str]) -> list[str]:
    """The command that writes it."""
    runs = [str(studio.root.run(name)) for name in sorted(names)]
    place = comparison_place(studio, comparison_key(names))
    return ["softprompt", "results", *runs, "--format", "html", "--out", str(place)]


def _key(names: Sequence[str]) -> str:
    return hashlib.blake2b("\0".join(names).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
