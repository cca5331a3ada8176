"""A prompt in memory, and who uses it."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn

from softprompt.attached.model import PromptedModel
from softprompt.serving.folder import Stored
from softprompt.storage.prompt import Prompt


@dataclass(eq=False)
class Served:
    """A prompt in memory.

    Attributes:
        stored: where it came from.
        prompt: itself.
        slot: the name that it is attached under.
        size: bytes of its tensors, those that it was lowered to among them.
        lowered: the name that its keys and values are attached under, where it was lowered.
        alone: the model that it is attached to by itself, where it changes weights for every row; else None.
        users: how many rows that are asked or answered need it.
    """

    stored: Stored
    prompt: Prompt
    slot: str
    size: int
    lowered: str | None = None
    alone: PromptedModel | None = None
    users: int = field(default=0)

    @property
    def name(self) -> str:
        """What requests call it."""
        return self.stored.name


def bytes_of(module: nn.Module | None) -> int:
    """What the tensors of a module take."""
    if module is None:
        return 0
    return sum(one.numel() * one.element_size() for one in (*module.parameters(), *module.buffers()))
