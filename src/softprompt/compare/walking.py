"""Where runs lie in and below folders; nothing of them is read, and no torch is imported to find them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from softprompt.errors import SoftPromptError
from softprompt.files.places import AUTO, CHOICE, JOURNAL, LEDGER, METRICS, RUN, TASKS, TRIALS
from softprompt.guards.paths import path_of

_INSIDE = frozenset({"state", "prompt", "shared"})  # folders of a run's own


class Walked(NamedTuple):
    """What lies in and below folders.

    Attributes:
        runs: folders that hold a run, finished or not.
        tables: folders with the ledger of a table.
        trials: folders of a search's trials, and how many runs are in each: they were measured on rows to choose by.
    """

    runs: list[Path]
    tables: list[Path]
    trials: Mapping[Path, int]


def walked(folders: Sequence[str | os.PathLike[str]]) -> Walked:
    """The folders of runs, each once, in the order of their paths.

    Links inside a folder are not followed.

    Args:
        folders: to be looked through.

    Raises:
        SoftPromptError: one of them is no folder.
    """
    runs: dict[Path, None] = {}
    tables: dict[Path, None] = {}
    trials: dict[Path, int] = {}
    for given in folders:
        folder = path_of(given, "run")
        if not folder.is_dir():
            raise SoftPromptError(f"{folder} is no folder: name folders of runs")
        for name, inside, files in os.walk(folder):
            place = Path(name)
            inside[:] = sorted(one for one in inside if one not in _INSIDE and not one.startswith("."))
            if LEDGER in files:
                tables[place] = None
            if RUN not in files and not (METRICS in files and place.parent.name == TASKS):
                continue
            if (search := _trials_of(place)) is not None:
                trials[search] = trials.get(search, 0) + 1
            else:
                runs[place] = None
    return Walked([*runs], [*tables], trials)


def _trials_of(run: Path) -> Path | None:
    """The folder of a search's trials that a run is one of, be they of options or of methods."""
    trials = run.parent
    of_search = trials.name == TRIALS and (trials.parent / JOURNAL).is_file()
    return trials if of_search or (trials.name == AUTO and (trials / CHOICE).is_file()) else None
