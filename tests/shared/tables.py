"""Small files in published layouts, read as tasks, and their rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from softprompt.errors import SoftPromptError
from softprompt.files.whole import replacing
from softprompt.tasks import Row, Splits, Task

GOOD = "sentence\tlabel\n" + "good\t1\nbad\t0\n" * 5
REVIEWS = Task(template="{text} It was {mask}", labels={"0": "terrible", "1": "great"})
THREE = Task(
    template="{a}",
    labels=["x", "y", "z"],
    metrics=["accuracy", "macro_f1", "f1", "matthews", "cb_score"],
    positive="y",
)


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def tsv(path: Path, rows: Iterable[Sequence[Any]]) -> Path:
    return write(path, "".join("\t".join(map(str, row)) + "\n" for row in rows))


def jsonl(path: Path, rows: Iterable[Any]) -> Path:
    return write(path, "".join(json.dumps(row) + "\n" for row in rows))


def load(name: str, folder: Path, **options: Any) -> Splits:
    return Task.load(name, data=folder, **options).splits()


def every(splits: Splits) -> list[Row]:
    return sorted([*splits.train, *splits.validation], key=lambda row: row.index)


def repeated(rows: list[Any], times: int = 6) -> list[Any]:
    return rows * times


def told(error: pytest.ExceptionInfo[SoftPromptError], *parts: str) -> None:
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message, message


def labelled(labels: Any) -> list[Row]:
    return [Row({}, label, index=index) for index, label in enumerate(labels)]


def filled(folder: Path, text: str = "new") -> None:
    """A folder of two files, written whole."""
    with replacing(folder) as beside:
        (beside / "below").mkdir()
        (beside / "below" / "b.txt").write_text(text * 2)
        (beside / "a.txt").write_text(text)
