"""What a user sets and no part of the run would hear is refused in one line; what has a part is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.files.places import METRICS

from ..shared.runs import run


@pytest.mark.parametrize(
    ("method", "family", "options", "told"),
    [
        ("head_only", "llama", {"learning_rate": 0.5}, "learning_rate: .*'head_only' .*: set head_learning_rate"),
        ("head_only", "llama", {"weight_decay": 0.5}, "weight_decay: .*'head_only' .*: choose another method"),
        ("prompt_tuning", "llama", {"head_learning_rate": 0.5}, "readout 'text' has no head to train"),
        ("prompt_tuning", "llama", {"pooling": "mean"}, "readout 'text' reads at the answer's place"),
        ("prompt_tuning", "llama", {"readout": "head", "loss": "vocabulary"}, "loss is always over its labels"),
    ],
)
def test_an_option_without_a_part_is_refused(
    tmp_path: Path, method: str, family: str, options: dict[str, object], told: str
) -> None:
    with pytest.raises(SoftPromptError, match=told) as fault:
        run(tmp_path, family, method, max_steps=1, **options)
    assert "\n" not in str(fault.value)
    assert str(fault.value).endswith("or leave it out")
    assert not list(tmp_path.rglob(METRICS))


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("head_only", {"head_learning_rate": 0.5}),
        ("prompt_tuning", {"readout": "head", "pooling": "mean", "head_learning_rate": 0.5, "loss": "labels"}),
    ],
)
def test_an_option_with_a_part_is_taken(tmp_path: Path, method: str, options: dict[str, object]) -> None:
    assert run(tmp_path, "llama", method, max_steps=1, **options).metrics["test"]
