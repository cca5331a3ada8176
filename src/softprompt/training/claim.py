"""Whose a run's folder is, and what it holds already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from softprompt.errors import SoftPromptError
from softprompt.files.whole import write_json
from softprompt.storage.documents import read_document
from softprompt.training.identity import difference

IDENTITY, METRICS = "run.json", "metrics.json"


def claim(folder: Path, identity: dict[str, Any], resume: bool) -> bool:
    """Take the folder for this run; whether the run in it is finished.

    Raises:
        SoftPromptError: it holds something else.
    """
    known = folder / IDENTITY
    if known.is_file():
        if not resume:
            raise SoftPromptError(f"{folder} holds a run already: go on with it with resume, or choose another output")
        finished = (folder / METRICS).is_file()
        check_same(folder, identity, finished=finished)
        return finished
    if folder.is_dir() and any(folder.iterdir()):
        raise SoftPromptError(f"{folder} is not empty and holds no run: choose another output")
    if folder.exists() and not folder.is_dir():
        raise SoftPromptError(f"{folder} is a file: choose another output")
    write_json(known, identity)
    return False


def check_same(folder: Path, identity: dict[str, Any], *, finished: bool) -> None:
    """Make sure that the run in a folder is this one.

    Args:
        folder: with a `run.json`.
        identity: of this run.
        finished: it will only be read.

    Raises:
        SoftPromptError: it is another, with the first difference.
    """
    differs = difference(read_document(folder / IDENTITY), identity, finished=finished)
    if differs is not None:
        raise SoftPromptError(f"{folder} holds {differs}")
