"""A task of two words that any tiny model can be trained on, and a run of it."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from softprompt.methods import PromptTuning
from softprompt.progress import Progress
from softprompt.tasks import Task
from softprompt.training.finished import RunMetrics
from softprompt.training.run import Run, train

from .models import model, tokenizer
from .tables import write

PROMPT = Path("run") / "prompt" / "prompt.safetensors"
QUICK = {"max_steps": 4, "evaluations": 1, "batch_size": 4}


def task(folder: Path, rows: int = 40, **options: Any) -> Task:
    """Rows of random words; w20 among them means class 0, w30 class 1."""
    chance = random.Random(5)
    lines = []
    for index in range(rows):
        words = [f"w{chance.randint(40, 99)}" for _ in range(chance.randint(3, 8))]
        words.insert(chance.randint(0, len(words)), "w30" if index % 2 else "w20")
        lines.append(json.dumps({"text": " ".join(words), "label": str(index % 2)}))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n")
    values = {"template": "{text} {mask}", "labels": {"0": "w10", "1": "w11"}, **options}
    return Task(**values).with_data(folder / "rows.jsonl", seed=1)


def run(
    folder: Path, family: str, method: Any, *, data: Path | None = None, template: str = "{text} {mask}", **options: Any
) -> Run:
    """Ten steps unless told otherwise."""
    defaults = {"max_steps": 10, "evaluations": 2, "batch_size": 4, "progress": False, "learning_rate": 1e-2}
    chosen = {**defaults, **options}
    if getattr(method, "name", method) in ("hard_prompt", "head_only", "autoprompt") and "learning_rate" not in options:
        chosen.pop("learning_rate")
    own = task(data or folder / "data", template=template)
    return train(model(family), tokenizer(), own, method, output=folder / "run", seed=3, **chosen)


def learned(folder: Path, family: str, labels: dict[str, str], **options: Any) -> Run:
    """A run that has seen what it is tested on, often enough to know it: a text's first word says its class."""
    values = list(labels)
    lines = [
        json.dumps({"text": f"w{5 + index % len(values)} w{20 + index}", "label": values[index % len(values)]})
        for index in range(10 * len(values))
    ]
    for part in ("train", "validation", "test"):
        write(folder / "data" / f"{part}.jsonl", "\n".join(lines))
    defaults = {"epochs": 60, "learning_rate": 0.3, "batch_size": 10, "patience": 50, "evaluations": 2}
    chosen = {"output": folder / "run", "seed": 1, "progress": False, **defaults, **options}
    own = Task(template="{text} w50 {mask}", labels=labels).with_data(folder / "data")
    return train(model(family), tokenizer(), own, PromptTuning(num_virtual_tokens=4), **chosen)


class Interrupting(Progress):
    """Progress that sends a signal at a step."""

    watched = "training"
    sent = signal.SIGINT

    def __init__(self, step: int) -> None:
        super().__init__(shown=False)
        self.step = step
        self.done = 0

    @contextmanager
    def work(self, name: str, total: int, unit: str) -> Iterator[Any]:
        def tick(done: int = 1, note: str | None = None, total: int | None = None) -> None:
            if name != self.watched:
                return
            self.done += done
            if self.done == self.step:
                signal.raise_signal(self.sent)

        yield tick


class Listening(Progress):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__(shown=False)
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


def finished(**changes: Any) -> RunMetrics:
    """What a finished run tells of itself; every field of it may be given."""
    values: dict[str, Any] = {
        "schema_version": 1,
        "task": "words",
        "method": "prompt_tuning",
        "backbone": "tiny",
        "seed": 3,
        "dtype": "float32",
        "metric": "accuracy",
        "test": {"accuracy": 0.5, "interval": [0.4, 0.6], "rows": 8},
        "validation": {},
        "trained_parameters": 1234,
        "trained_head_parameters": 0,
        "tunable": {"backbone_parameters": 200_000, "percent": 0.617, "percent_without_head": 0.617},
        "stored_parameters": 1234,
        "stored_bytes": 5678,
        "train_seconds": 12.3,
        "rows_per_second": None,
        "peak_memory_bytes": 0,
        "versions": {"torch": "2"},
        "protocol": "one file",
        "readout": {},
        "options": {},
        "history": [],
        "course": {},
    }
    return RunMetrics.of({**values, **changes}, "metrics.json")
