"""`softprompt doctor --clean`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from softprompt.errors import SoftPromptError

if TYPE_CHECKING:
    from softprompt.files.scratch import Swept


def clean(folders: Sequence[Path]) -> list[Swept]:
    """Take away what killed processes left in folders and below, and give back what they took the place of.

    Raises:
        SoftPromptError: a folder is none.
    """
    from softprompt.files.scratch import sweep

    for folder in folders:
        if not folder.is_dir():
            raise SoftPromptError(f"{folder}: no such folder: name folders of runs or prompts, or those above them")
    return [one for folder in folders for one in sweep(folder, deep=True)]


def as_records(swept: Sequence[Swept]) -> list[dict[str, str | int]]:
    """For each scrap its `path`, its `bytes` and what was `done` with it, for a program."""
    return [{"path": str(one.path), "bytes": one.size, "done": _done(one)} for one in swept]


def tell_scraps(swept: Sequence[Swept]) -> None:
    """A line for each scrap, and their sum."""
    for one in swept:
        print(f"{_done(one)}: {one.path} ({one.size:,} bytes)")
    gone = [one.size for one in swept if not one.put_back]
    print(f"scraps of killed processes that were removed: {len(gone)}, {sum(gone):,} bytes")


def _done(one: Swept) -> str:
    return "put back" if one.put_back else "removed"
