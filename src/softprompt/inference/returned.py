"""What `predict` gives back of its answers: labels, words or probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from softprompt.attached.answering import Returned, Returns
from softprompt.errors import SoftPromptError, quoted
from softprompt.inference.predict import Answer
from softprompt.tasks import Task

__all__ = ["Returned", "Returns", "check_returned", "returned"]


def check_returned(task: Task, returns: str) -> None:
    """Make sure that a task's answers have what is to be given back.

    Raises:
        SoftPromptError: there is no such thing, or the answers have no probabilities.
    """
    known = get_args(Returned)
    if returns not in known:
        raise SoftPromptError(f"returns is {quoted(returns)}: choose one of {', '.join(known)}")
    if returns == "probabilities" and task.kind in ("generation", "regression", "tags", "extraction", "fact"):
        raise SoftPromptError(
            f"task {task.name!r}: an answer of kind {task.kind} has no probabilities of labels: ask for labels"
        )


def returned(answers: Sequence[Answer], returns: Returned) -> Returns:
    """One part of each answer."""
    if returns == "probabilities":
        return [answer.probabilities for answer in answers]
    return [answer.word if returns == "words" else answer.label for answer in answers]
