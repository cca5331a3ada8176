"""Two tasks of two words, and a run of both together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from softprompt.files.tensors import read_tensors
from softprompt.tasks import Task
from softprompt.training.fitting.checkpoint import step_of
from softprompt.training.multitask.run import MultitaskRun, train_multitask

from .models import model, tokenizer
from .runs import task as words


def tasks(folder: Path) -> list[Task]:
    """Two tasks: the second has other rows in number, other words, and three labels of which two occur."""
    other = {"name": "other", "labels": {"0": "w12", "1": "w13", "2": "w14"}, "template": "{text} w50 {mask}"}
    return [words(folder / "a", name="one"), words(folder / "b", rows=24, **other)]


def run(folder: Path, method: Any, family: str = "llama", **options: Any) -> MultitaskRun:
    """Six steps on these tasks, unless told otherwise."""
    chosen = {"max_steps": 6, "evaluations": 2, "batch_size": 4, "progress": False, "learning_rate": 0.1, **options}
    given = tasks(folder / "data")
    return train_multitask(model(family), tokenizer(), given, method, output=folder / "run", seed=3, **chosen)


def last_state(done: MultitaskRun) -> dict[str, Any]:
    """The trained parameters of the last checkpoint."""
    return read_tensors(max((done.folder / "state").glob("checkpoint-*"), key=step_of) / "model.safetensors")
