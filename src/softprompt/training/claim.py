"""Whose a run's folder is: what makes two runs the same run, and what a folder holds already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from softprompt.errors import SoftPromptError
from softprompt.fingerprint import fingerprint
from softprompt.methods.base import Method
from softprompt.storage.tensors import read_json, write_json
from softprompt.tasks import Task
from softprompt.training.options import TrainingOptions

IDENTITY, METRICS = "run.json", "metrics.json"


def identity_of(
    model: nn.Module,
    task: Task,
    method: Method,
    options: TrainingOptions,
    wishes: dict[str, Any],
    seed: int,
    backbone: str | None,
) -> dict[str, Any]:
    """What makes two runs the same run."""
    config: Any = model.config
    return {
        "task": task.name,
        "method": method.name,
        "backbone": backbone or getattr(config, "_name_or_path", "") or config.model_type,
        "seed": seed,
        "task_definition": task.model_dump(mode="json"),
        "method_options": method.model_dump(mode="json"),
        "training_options": options.model_dump(mode="json"),
        "readout": wishes,
        "fingerprint": fingerprint(model).model_dump(mode="json"),
    }


def claim(folder: Path, identity: dict[str, Any], resume: bool) -> bool:
    """Take the folder for this run; whether the run in it is finished.

    Raises:
        SoftPromptError: it holds something else.
    """
    known = folder / IDENTITY
    if known.is_file():
        if not resume:
            raise SoftPromptError(f"{folder} holds a run already: go on with it with resume, or choose another output")
        stored = read_json(known)
        for key, value in identity.items():
            if stored.get(key) != value:
                raise SoftPromptError(
                    f"{folder} holds a run with another {key}, so it cannot be resumed: choose another output"
                )
        return (folder / METRICS).is_file()
    if folder.is_dir() and any(folder.iterdir()):
        raise SoftPromptError(f"{folder} is not empty and holds no run: choose another output")
    if folder.exists() and not folder.is_dir():
        raise SoftPromptError(f"{folder} is a file: choose another output")
    write_json(known, identity)
    return False
