"""Room for tensors that a training computes once: in memory up to a limit, and in files that are mapped into it.

What is kept in files is found there again, by a training that goes on later or by another one, under a key that says
all that it was computed from (`softprompt.files.kept`). (Our choice.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from softprompt.files.kept import KeptFiles, key_of

MEMORY = 2 << 30  # bytes that are kept in memory


class Room:
    """Takes tensors that are to stay.

    Attributes:
        left: bytes that there is room for, in memory and in files.
    """

    def __init__(self, files: KeptFiles | None = None, memory: int = MEMORY, scope: Callable[[], str] = str) -> None:
        """Nothing is kept yet.

        Args:
            files: that take what is on the CPU; None for memory alone.
            memory: bytes that may be kept in memory.
            scope: tells what all that is kept depends on besides its own key, the backbone above all; asked once.
        """
        self._files, self._memory, self._told = files, memory, scope
        self._scope: str | None = None

    @property
    def left(self) -> int:
        """See the class."""
        return self._memory + (0 if self._files is None else self._files.left)

    def key(self, *parts: object) -> str:
        """The key of something that is computed from these parts and from what `scope` tells; see `key_of`."""
        if self._files is None:
            return ""  # nothing is looked for
        if self._scope is None:
            self._scope = self._told()
        return key_of(self._scope, *parts)

    def find(self, key: str) -> list[Tensor] | None:
        """What files hold under a key, in memory as far as there is room; None where they do not."""
        found = None if self._files is None else self._files.read(key)
        return None if found is None else (self._in_memory(found) or found)

    def keep(self, key: str, tensors: Sequence[Tensor]) -> list[Tensor] | None:
        """Copies that stay; None where there is no room for them.

        Args:
            key: under which files take them.
            tensors: of any shapes and types; those that are on a GPU are kept there, in its memory alone.
        """
        on_disk = self._files is not None and all(one.device.type == "cpu" for one in tensors)
        written = on_disk and self._files is not None and self._files.write(key, tensors)
        kept = self._in_memory(tensors)
        if kept is None and written and self._files is not None:
            return self._files.read(key)
        return kept

    def _in_memory(self, tensors: Sequence[Tensor]) -> list[Tensor] | None:
        size = sum(one.numel() * one.element_size() for one in tensors)
        if size > self._memory:
            return None
        self._memory -= size
        return [one.detach().clone() for one in tensors]
