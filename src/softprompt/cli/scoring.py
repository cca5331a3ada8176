"""What the verbs that score prompts share: labelled rows of a split, and whether a prompt can answer them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from softprompt.errors import SoftPromptError

if TYPE_CHECKING:
    from softprompt.storage.prompt import Prompt
    from softprompt.tasks import Row, Task


def check_split(split: str) -> None:
    """Raise `SoftPromptError` where there is no such split."""
    if split not in ("test", "validation", "train"):
        raise SoftPromptError(f"--split {split!r}: choose test, validation or train")


def rows_of_split(task: Task, split: str, seed: int) -> list[Row]:
    """The labelled rows of a split.

    Raises:
        SoftPromptError: there are none.
    """
    rows: list[Row] = getattr(task.splits(seed), split)
    if not rows:
        raise SoftPromptError(f"task {task.name!r} has no labelled {split} rows: choose another --split")
    return rows


def own_task(prompt: Prompt, folder: Path) -> Task:
    """The task of a prompt that can be scored.

    Raises:
        SoftPromptError: it was saved without one.
    """
    if prompt.task is None or prompt.readout is None:
        raise SoftPromptError(f"{folder}: this prompt was saved without a task, so nothing can be scored")
    return prompt.task


def check_labels(loaded: Task, own: Task) -> None:
    """Raise `SoftPromptError` where a task's labels are not those that a prompt answers with."""
    if loaded.kind != own.kind or loaded.label_values != own.label_values:
        raise SoftPromptError(
            f"task {loaded.name!r} has labels {', '.join(loaded.label_values) or 'none'}, but the prompt answers with "
            f"{', '.join(own.label_values) or 'none'}: name a task with the same labels"
        )


def unseen(task: Task, rows: list[Row], seeds: set[int]) -> list[Row]:
    """Rows that no member of other seeds was trained or chosen on.

    Published divisions are the same for every seed; one file is divided anew, so that a test row of one seed may be a
    training row of another.

    Raises:
        SoftPromptError: none is left.
    """
    seen = set()
    for seed in sorted(seeds):
        splits = task.splits(seed)
        if splits.protocol == "one file":
            seen |= {tuple(row.fields.values()) for row in (*splits.train, *splits.validation)}
    kept = [row for row in rows if tuple(row.fields.values()) not in seen]
    if not kept:
        raise SoftPromptError(
            f"task {task.name!r} is one file, and each row was one to train on for some member: give --shots as in "
            "training"
        )
    return kept
