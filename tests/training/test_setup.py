"""What a run is set up with is refused where it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError

from ..shared.prompts import METHODS
from ..shared.runs import run


def test_a_head_cannot_be_left_untrained_or_asked_of_free_text(tmp_path: Path) -> None:
    with pytest.raises(SoftPromptError, match="head_only"):
        run(tmp_path, "llama", METHODS["hard_prompt"], readout="head")
    with pytest.raises(SoftPromptError, match="readout 'text' has none"):
        run(tmp_path, "llama", METHODS["head_only"], readout="text")
