"""A run's folder in the hands of one process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from softprompt.errors import SoftPromptError
from softprompt.files.scratch import lock, stands, sweep
from softprompt.files.whole import make_folder, unwritable


class FolderInUse(SoftPromptError):
    """A folder that another process has in its hands."""


@contextmanager
def hold_folder(folder: Path) -> Iterator[bool]:
    """Keep a run's folder from every other process, and sweep what a killed one left in it.

    The lock is on the folder itself, so it ends with the process however that ends, and leaves no file.

    Args:
        folder: made where it is missing.

    Yields:
        Whether it was missing.

    Raises:
        FolderInUse: another run is at work in it.
        SoftPromptError: it cannot be made or read.
    """
    fresh, handle = not folder.exists(), _opened(folder)
    try:
        if lock(handle) is False:
            raise FolderInUse(f"{folder}: another run is at work in it: wait for it, or choose another output")
        if not stands(folder, handle):
            raise SoftPromptError(f"{folder}: another run took the folder away: run the same again")
        sweep(folder, deep=True)
        yield fresh
    finally:
        os.close(handle)


def _opened(folder: Path) -> int:
    try:
        make_folder(folder)
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileExistsError, NotADirectoryError):
        raise SoftPromptError(f"{folder} is a file: choose another output") from None
    except OSError as error:
        raise unwritable(folder, error) from None
