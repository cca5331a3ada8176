"""What tasks share of a prompt: the same parameters, but for those that the method says each task has of its own."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch

from softprompt.methods.base import Method
from softprompt.sites.producer import Producer

SHARED = "shared"


def prompts_of(first: Producer, method: Method, tasks: Sequence[str]) -> dict[str, Producer]:
    """The prompts to attach, by name: one a task, or a single one where tasks share all of it.

    Args:
        first: a new prompt of the method.
        method: says which parts are a task's own (`per_task`).
        tasks: their names.
    """
    if not method.per_task:
        return {SHARED: first}
    return {task: _tied(first, method) for task in tasks}


def _tied(first: Producer, method: Method) -> Producer:
    """A prompt with the very parameters of another where they are shared, and copies of a task's own."""
    made = copy.deepcopy(first)
    for name, parameter in first.named_parameters():
        if not _own(name, method):
            path, _, leaf = name.rpartition(".")
            setattr(made.get_submodule(path), leaf, parameter)
    return made


@torch.no_grad()
def common(prompts: Mapping[str, Producer], method: Method) -> Producer:
    """What a further task may start from: the shared parts, and the mean of those that each task has of its own."""
    each = list(prompts.values())
    made = copy.deepcopy(each[0])
    for name, parameter in made.named_parameters():
        if _own(name, method):
            parameter.copy_(torch.stack([one.get_parameter(name) for one in each]).mean(0))
    return made


def _own(name: str, method: Method) -> bool:
    return name.split(".")[0] in method.per_task
