"""What requests may know of a prompt, also while it is not in memory."""

from __future__ import annotations

from dataclasses import dataclass

from softprompt.readouts.free_text import FreeText
from softprompt.readouts.head import Head
from softprompt.serving.folder import Stored
from softprompt.storage.prompt import Prompt


@dataclass(frozen=True)
class About:
    """What is known of a prompt.

    Attributes:
        method: its name.
        task: its task's name, or None.
        kind: of the task.
        fields: that a text for it has.
        labels: that it may answer with.
        writes: whether it writes texts, and has no labels.
        embeds: whether a head reads it, whose states are an embedding.
        changed: when its files last changed, in seconds since 1970.
    """

    method: str
    task: str | None
    kind: str | None
    fields: tuple[str, ...]
    labels: tuple[str, ...]
    writes: bool
    embeds: bool
    changed: int


def about_of(prompt: Prompt, stored: Stored) -> About:
    """What is known of a prompt that was loaded."""
    task, readout = prompt.task, prompt.readout
    return About(
        prompt.method.name,
        None if task is None else task.name,
        None if task is None else task.kind,
        () if task is None else tuple(task.fields),
        () if task is None else task.label_values,
        task is None or isinstance(readout, FreeText),
        isinstance(readout, Head) and not readout.row_encoder.template.has_choice,
        max(when for _, _, when in stored.state) // 10**9,
    )
