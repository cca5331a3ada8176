"""A prompt that answers again and again does so through the attached model that it gave out: a look is no attaching."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from operator import is_

from torch import nn

from softprompt.attached.model import PromptedModel
from softprompt.errors import SoftPromptError
from softprompt.sites.producer import Producer


class LastAttached:
    """The attached model that was given out last, which whoever it was given to keeps alive and detaches."""

    def __init__(self) -> None:
        """None was given out."""
        self._last: Callable[[], PromptedModel | None] = lambda: None
        self._names: list[str] = []

    def gave(self, prompted: PromptedModel) -> PromptedModel:
        """Remember an attached model, and hand it on."""
        self._last, self._names = weakref.ref(prompted), list(prompted.names)
        return prompted

    @contextmanager
    def attached(
        self, model: nn.Module, producers: Sequence[Producer], attach: Callable[[], PromptedModel]
    ) -> Iterator[PromptedModel]:
        """An attached model for the block, in which it stays as it is: the last one, as long as it will do.

        Args:
            model: the backbone.
            producers: what is attached to it, in this order and nothing else.
            attach: makes another one, which is detached after the block, where the last one is gone or was changed.
        """
        with ExitStack() as stack:
            last = self._last()
            if last is not None and not last.is_running:
                try:
                    stack.enter_context(last.staying())
                except SoftPromptError:  # it is detached, or the backbone is another than it was
                    last = None
            if last is None or not self._serves(last, model, producers):
                last = stack.enter_context(attach())
            yield last

    def _serves(self, last: PromptedModel, model: nn.Module, producers: Sequence[Producer]) -> bool:
        same = len(last.prompts) == len(producers) and all(map(is_, last.prompts, producers))
        return not last.is_running and last.backbone is model and last.names == self._names and same
