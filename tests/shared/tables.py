"""Small files in published layouts, read as tasks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from softprompt.errors import SoftPromptError
from softprompt.tasks import Row, Splits, Task


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
