"""A prompt folder is read back against its manifest, once all that it says of itself is in order."""

from __future__ import annotations

from pathlib import Path

from softprompt.files.manifest import MANIFEST, check_files, named
from softprompt.files.places import CARD, META, TENSORS


def check_written(folder: Path) -> None:
    """Prove the checksums of a prompt; one without a manifest, from an earlier version or from parts, passes.

    Raises:
        SoftPromptError: a file differs from what was written.
    """
    if (folder / MANIFEST).exists():
        check_whole(folder)


def check_whole(folder: Path) -> None:
    """Prove the checksums of a prompt that has a manifest. Its card is its owner's to edit.

    Raises:
        SoftPromptError: a file differs from what was written, or there is no manifest.
    """
    check_files(folder, sorted({META, TENSORS, *named(folder)} - {CARD}))
