"""Where things stand on the disk."""

from __future__ import annotations

from pathlib import Path


def folder_of(path: Path) -> Path:
    """The prompt's own folder, given it or its run's."""
    return path / "prompt" if (path / "prompt").is_dir() else path
