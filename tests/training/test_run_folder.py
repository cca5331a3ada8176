"""A run's folder: given back when it is finished, never written over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError

from ..shared.prompts import METHODS
from ..shared.runs import run


def test_a_finished_run_is_given_back_and_another_one_is_not_overwritten(tmp_path: Path) -> None:
    first = run(tmp_path, "llama", METHODS["capt"])
    again = run(tmp_path, "llama", METHODS["capt"], resume=True)
    assert again.metrics == json.loads(json.dumps(first.metrics))
    with pytest.raises(SoftPromptError, match="holds a run already"):
        run(tmp_path, "llama", METHODS["capt"])
    with pytest.raises(SoftPromptError, match="another method"):
        run(tmp_path, "llama", METHODS["deep_prompt"], resume=True)
    with pytest.raises(SoftPromptError, match="another training_options"):
        run(tmp_path, "llama", METHODS["capt"], resume=True, max_steps=11)
    assert run(tmp_path, "llama", METHODS["capt"], resume=True).metrics == again.metrics


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("precious")
    with pytest.raises(SoftPromptError, match="not empty"):
        run(tmp_path, "llama", METHODS["capt"])
    assert (tmp_path / "run" / "thesis.txt").read_text() == "precious"
