"""What lies outside the checkout, in the shared folder: published data and small trained models, or a skip."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("SOFTPROMPT_SHARED", Path(__file__).parents[3] / "shared"))


def outside(*parts: str) -> Path:
    """A file or folder of the shared folder."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is absent")
    return path


def stories() -> Path:
    """The folder of the trained 260K Llama."""
    return outside("models", "stories260K")
