"""The metrics of a finished adaptation are read as they were written, or refused by field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from softprompt.errors import SoftPromptError
from softprompt.files.manifest import sealed
from softprompt.training.adaptation.metrics import read_adapt_metrics

METRICS = {
    "task": "prefix language modelling", "backbone": "t5", "seed": 1, "options": {"steps": 2}, "train_seconds": 1.5,
    "chunks": 40, "held_out_chunks": 2, "peak_memory_bytes": 1, "versions": {"torch": "2"},
    "history": [{"step": 0, "train_loss": None, "loss": 3.5}, {"step": 2, "train_loss": 3.0, "loss": None}],
}  # fmt: skip


def test_they_are_read_as_they_stand(tmp_path: Path) -> None:
    for found in (METRICS, sealed(METRICS)):
        (tmp_path / "metrics.json").write_text(json.dumps(found))
        assert read_adapt_metrics(tmp_path / "metrics.json") == found


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"history": []}, "history: "),
        ({"history": [{"step": 0}]}, "history.0.train_loss: no 'train_loss' in it"),
        ({"train_seconds": "1"}, "train_seconds: "),
        ({"stranger": 1}, "stranger: there is no such field"),
        ({"sha256": "0" * 64}, "differs from what was written"),
    ],
)
def test_what_no_adaptation_writes_is_refused(change: dict[str, Any], told: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps({**METRICS, **change}))
    with pytest.raises(SoftPromptError, match=f"metrics.json: {told}"):
        read_adapt_metrics(tmp_path / "metrics.json")
