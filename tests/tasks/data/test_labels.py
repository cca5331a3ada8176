"""Labels as files write them: counted from 0 or from 1."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Task

from ...shared.tables import told, write


def test_agnews_that_counts_both_ways(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "0,a\n4,b\n")
    with pytest.raises(SoftPromptError) as error:
        Task.load("agnews", data=tmp_path).splits()
    told(error, "labels from 0 to 4 are too many")
