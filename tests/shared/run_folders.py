"""Folders of finished runs, written without a training: whose answers are right stands in the call."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from softprompt.compare.ledger import Outcome
from softprompt.evaluation.predictions import PREDICTIONS, Predictions
from softprompt.files.manifest import sealed
from softprompt.files.places import CELLS, LEDGER
from softprompt.training.divergence import NotFinite

from .runs import finished

LABELS = {"0": "bad", "1": "good"}


def answers(right: Sequence[bool | int]) -> Predictions:
    """Two classes in turn, answered rightly where it says so."""
    label = tuple(place % 2 for place in range(len(right)))
    given = tuple(own if good else 1 - own for own, good in zip(label, right, strict=True))
    return Predictions(kind="classification", labels=LABELS, label=label, prediction=given)


def cell(
    folder: Path,
    method: str = "prompt_tuning",
    seed: int = 13,
    right: Sequence[bool | int] = (1, 1, 1, 0),
    *,
    task: str = "words",
    asked: str = "a",
    predictions: bool = True,
    identity: dict[str, Any] | None = None,
    **changes: Any,
) -> Path:
    """A run folder; its test rows are told by a word, and changes are fields of its metrics."""
    given = answers(right)
    count = len(right)
    scores = {
        "accuracy": given.score("accuracy"),
        "macro_f1": given.score("macro_f1"),
        "rows": count,
        "interval": [0.25, 0.75],
    }
    told = {"task": task, "method": method, "backbone": "tiny", "seed": seed, "test": scores, **changes}
    folder.mkdir(parents=True)
    rows = {"count": count, "block": 1, "texts": [asked] * count, "labels": ["l"] * count, "unordered": asked}
    began = {
        "task": task,
        "method": method,
        "seed": seed,
        "shots": None,
        "method_options": {},
        "training_options": {},
        "rows": {"train": {"count": 32}, "test": rows},
        "fingerprint": {"weights": "11112222", "head": "3333"},
    }
    (folder / "run.json").write_text(json.dumps({**began, **(identity or {})}))
    finished(**told).write(folder / "metrics.json")
    if predictions:
        given.write(folder / PREDICTIONS)
    return folder


def diverged(run: Path) -> Path:
    """A run folder as a training leaves it that diverged at step 3."""
    fault: NotFinite = {
        "step": 3,
        "what": "loss",
        "value": "nan",
        "running": 5,
        "stage": None,
        "best_step": 1,
        "rates": {"learning_rate": 10.0},
        "max_grad_norm": 1.0,
    }
    document = {name: one for name, one in json.loads((run / "metrics.json").read_text()).items() if name != "sha256"}
    (run / "metrics.json").write_text(json.dumps(sealed({**document, "diverged": fault})))
    return run


def ledger(table: Path, **told: dict[str, Any]) -> Path:
    """The ledger of a table, by the names of its cells; what an outcome is not told is that of the others here."""
    usual: dict[str, Any] = {"digest": "a", "state": "done", "task": "words", "backbone": "tiny", "seed": 13}
    cells = {name: Outcome(**{**usual, **one}).model_dump() for name, one in told.items()}
    (table / LEDGER).write_text(json.dumps({"cells": cells}))
    return table / CELLS


def hits(method: str, seed: int, rate: float = 0.6) -> list[bool]:
    """Twenty-four rows, rightly answered as often as a rate says."""
    chance = random.Random(f"{method} {seed}")
    return [chance.random() < rate for _ in range(24)]


def few(folder: Path, methods: Sequence[str] = ("capt", "lora"), seeds: Sequence[int] = (13, 21)) -> Path:
    """Runs of several methods and seeds on one task."""
    for method in methods:
        for seed in seeds:
            cell(folder / f"{method}-{seed}", method, seed, hits(method, seed))
    return folder
