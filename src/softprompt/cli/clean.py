"""`softprompt doctor --clean`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from softprompt.errors import SoftPromptError


def clean(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """Take away what killed processes left in folders and below, and give back what they took the place of.

    Returns:
        For each scrap its `path`, its `bytes` and what was `done` with it: removed, or put back.

    Raises:
        SoftPromptError: a folder is none.
    """
    from softprompt.files.scratch import sweep

    for folder in folders:
        if not folder.is_dir():
            raise SoftPromptError(f"{folder}: no such folder: name folders of runs or prompts, or those above them")
    return [
        {"path": str(one.path), "bytes": one.size, "done": "put back" if one.put_back else "removed"}
        for folder in folders
        for one in sweep(folder, deep=True)
    ]


def tell_scraps(done: Sequence[dict[str, Any]]) -> None:
    """A line for each scrap, and their sum."""
    for one in done:
        print(f"{one['done']}: {one['path']} ({one['bytes']:,} bytes)")
    gone = [one["bytes"] for one in done if one["done"] == "removed"]
    print(f"scraps of killed processes that were removed: {len(gone)}, {sum(gone):,} bytes")
