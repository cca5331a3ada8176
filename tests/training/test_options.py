"""Options of a training are checked by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError

from ..shared.prompts import METHODS
from ..shared.runs import run


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"epoch": 3}, "no option 'epoch'"),
        ({"batch_size": 0}, "batch_size"),
        ({"readout": "mask"}, "mask"),
    ],
)
def test_options_are_checked(changes: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(SoftPromptError, match=message):
        run(tmp_path, "t5", METHODS["capt"], **changes)
