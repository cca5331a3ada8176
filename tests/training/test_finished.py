"""The metrics of a finished run are read as they were written, or refused by field."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from softprompt.errors import SoftPromptError
from softprompt.training.run import open_run

from ..shared.models import model, tokenizer
from ..shared.prompts import METHODS
from ..shared.runs import Interrupting, Listening, run


def test_metrics_that_are_not_those_of_a_run(tmp_path: Path) -> None:
    folder = run(tmp_path, "llama", "hard_prompt").folder
    metrics = json.loads((folder / "metrics.json").read_text())
    assert open_run(folder, model("llama"), tokenizer()).metrics == metrics
    for change, told in (
        ({"test": {**metrics["test"], "accuracy": "high"}}, "metrics.json: test.accuracy: "),
        ({"test": {"rows": 4}}, "metrics.json: test: no 'accuracy' in it"),
        ({"seed": None}, "metrics.json: seed: "),
    ):
        (folder / "metrics.json").write_text(json.dumps({**metrics, **change}))
        with pytest.raises(SoftPromptError, match=told):
            open_run(folder, model("llama"), tokenizer())


def test_a_finished_run_that_was_damaged_is_made_again(tmp_path: Path) -> None:
    done = run(tmp_path, "llama", METHODS["prompt_tuning"])
    folder = tmp_path / "run"
    tensors = (folder / "prompt" / "prompt.safetensors").read_bytes()
    metrics = json.loads((folder / "metrics.json").read_text())
    wrong = {**metrics, "test": {**metrics["test"], "accuracy": 1.0}, "stored_bytes": 1}
    (folder / "metrics.json").write_text(json.dumps(wrong))
    with pytest.raises(SoftPromptError, match="differs from what was written"):
        open_run(folder, done.prompt.model, done.prompt.tokenizer)
    for harm in (
        lambda: (folder / "metrics.json").write_text(json.dumps(wrong)),
        lambda: (folder / "metrics.json").write_text("{"),
        lambda: (folder / "prompt" / "prompt.safetensors").write_bytes(tensors[:-1] + b"\x01"),
        lambda: shutil.rmtree(folder / "prompt"),
    ):
        harm()
        told, counted = Listening(), Interrupting(10**6)
        told.work = counted.work  # type: ignore[method-assign]
        again = run(tmp_path, "llama", METHODS["prompt_tuning"], resume=True, progress=told)
        assert sum("made again from" in line for line in told.lines) == 1
        assert counted.done == 0  # no step was taken
        assert (folder / "prompt" / "prompt.safetensors").read_bytes() == tensors
        assert again.metrics["test"] == metrics["test"]
