"""Room for tensors that a training computes once: in memory up to a limit, then in files that are mapped into it.

The files have no names: each is unlinked as soon as it is mapped. So they end with the process, however it ends, and a
training that goes on later computes their content anew from the rows and the backbone that it then has: nothing can be
stale. The system holds in memory what it has room for. (Our choice.)
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

MEMORY = 2 << 30  # bytes that are kept in memory
_PIECE = 1 << 28  # bytes that a file has at least
_EVEN = 64  # a tensor begins at a multiple of it
_WRITTEN = 1 << 20  # bytes at once where blocks cannot be asked for


class Room:
    """Takes tensors that are to stay.

    Attributes:
        left: bytes that there is room for, in memory and in files.
    """

    def __init__(self, folder: Path | None = None, memory: int = MEMORY) -> None:
        """Nothing is kept yet.

        Args:
            folder: on whose disk files may lie, of which they take half of what is free; None for memory alone.
            memory: bytes that may be kept in memory.
        """
        self._folder, self._memory = folder, memory
        self._disk = 0 if folder is None else _free(folder) // 2
        self._file = torch.empty(0, dtype=torch.uint8)
        self._used = 0

    @property
    def left(self) -> int:
        """See the class."""
        return self._memory + self._disk + self._file.numel() - self._used

    def keep(self, tensor: Tensor) -> Tensor | None:
        """A copy that stays; None where there is no room for it.

        Args:
            tensor: of any shape and type; one that is on a GPU is kept there, as in memory.
        """
        size = tensor.numel() * tensor.element_size()
        if size <= self._memory:
            self._memory -= size
            return tensor.clone()
        place = self._place(size) if tensor.device.type == "cpu" else None
        if place is None:
            return None
        kept = place.view(tensor.dtype).view(tensor.shape)
        return kept.copy_(tensor)

    def _place(self, size: int) -> Tensor | None:
        """Bytes of a file, `(size,)`; None where the disk has none left."""
        if self._used + size > self._file.numel():
            piece = max(_PIECE, size)
            if piece > self._disk or self._folder is None:
                return None
            self._disk -= piece
            mapped = _mapped(self._folder, piece)
            if mapped is None:
                self._disk = 0  # somebody else filled it
                return None
            self._file, self._used = mapped, 0
        first = self._used
        self._used = -(-(first + size) // _EVEN) * _EVEN
        return self._file[first : first + size]


def _mapped(folder: Path, count: int) -> Tensor | None:
    """Bytes of a new file without a name, `(count,)`; None where the disk has no room for all of them."""
    with suppress(OSError), tempfile.NamedTemporaryFile(dir=folder, prefix=".kept-") as file:
        # All blocks are taken now: a page for which the disk has none ends the process.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, count)
        else:
            for first in range(0, count, _WRITTEN):
                file.write(bytes(min(_WRITTEN, count - first)))
            file.flush()
        return torch.from_file(file.name, shared=True, size=count, dtype=torch.uint8)
    return None


def _free(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0
