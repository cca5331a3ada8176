"""What others ask of an attached model, so that they need not know how it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

from torch import Tensor, nn

from softprompt.backbones.anatomy import Anatomy
from softprompt.sites.asking import Around
from softprompt.sites.forward_call import Call
from softprompt.sites.layout import Slots
from softprompt.sites.padding import Side

# Which prompt each row takes: a name for all, a name or an index a row, or None where one prompt is attached.
Rows: TypeAlias = str | Sequence[str | int] | Tensor | None


class Attached(Protocol):
    """A backbone with prompts; `softprompt.PromptedModel` is one."""

    backbone: nn.Module
    anatomy: Anatomy
    slots: list[Slots]
    moving: frozenset[Side]

    def __call__(self, *args: object, **kwargs: object) -> Any:
        """The model's own forward, with each row's prompt: see `PromptedModel.forward`."""

    def rows(self, prompts: Rows, batch: int) -> tuple[int, ...]:
        """The index of each row's prompt."""

    def states(
        self,
        *,
        prompts: Rows = None,
        conditioning_mask: Tensor | None = None,
        positions: Tensor | None = None,
        **kwargs: object,
    ) -> Tensor:
        """Last states of the body, without a head: `(batch, tokens or selected, H)`."""

    def generate(
        self, inputs: Tensor | None = None, *, prompts: Rows = None, only_label_words: bool = False, **kwargs: object
    ) -> Any:
        """The model's own `generate`; sequences come back without virtual tokens."""

    def calling(
        self,
        rows: tuple[int, ...],
        conditioning: Tensor | None = None,
        select: Tensor | None = None,
        *,
        inserting: bool = True,
        around: Mapping[nn.Module, Around] | None = None,
    ) -> AbstractContextManager[Call]:
        """Let the prompts work in the calls of the backbone inside the block."""
