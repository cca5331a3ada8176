"""How far the reading of a big file is, shown by whoever has where to show it, as a verb or a training."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

if TYPE_CHECKING:
    from typing_extensions import Buffer

Tick: TypeAlias = Callable[..., None]
Work: TypeAlias = Callable[[str, int, str], AbstractContextManager[Tick]]  # as `Progress.work`

BIG = 16 << 20  # bytes; what is smaller is read before a bar is drawn
_MEGABYTE = 10**6
_BUFFER = 1 << 20
_WORK: ContextVar[Work | None] = ContextVar("work", default=None)


@contextmanager
def watching(work: Work | None) -> Iterator[None]:
    """Show the reading of big files by `work` meanwhile, and with None not at all."""
    token = _WORK.set(work)
    try:
        yield
    finally:
        _WORK.reset(token)


@contextmanager
def watched(path: Path, total: int, unit: str) -> Iterator[Tick]:
    """Show the reading of a file, if it is big and anybody watches.

    Args:
        path: of the file.
        total: how many units it has.
        unit: of what.

    Yields:
        What is told how many units were read since the last call.
    """
    work = _WORK.get()
    if work is None or path.stat().st_size < BIG:
        yield _untold
    else:
        with work(f"reading {path.name}", total, unit) as tick:
            yield tick


@contextmanager
def watched_file(path: Path) -> Iterator[BinaryIO]:
    """A file open to read its bytes, whose reading is shown as `watched` does."""
    size = path.stat().st_size
    with watched(path, size // _MEGABYTE, "MB") as tick:
        opened = path.open("rb") if tick is _untold else io.BufferedReader(_Told(path, size, tick), _BUFFER)
        with opened as file:
            yield file


class _Told(io.FileIO):
    """A file that tells how much of it was read; what is read again after a look at it counts again."""

    def __init__(self, path: Path, size: int, tick: Tick) -> None:
        super().__init__(path, "rb")
        self._size, self._tick = size, tick
        self._bytes = self._told = 0

    def readinto(self, buffer: Buffer) -> int:
        count = super().readinto(buffer)
        self._bytes += count
        whole = self._bytes // _MEGABYTE
        if whole > self._told:
            self._tick(whole - self._told)
            self._told = whole
        return count

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        if self._bytes and place == 0 and whence == io.SEEK_SET:
            self._tick(0, total=(self._bytes + self._size) // _MEGABYTE)
        return super().seek(place, whence)


def _untold(done: int = 1, note: str | None = None, total: int | None = None) -> None:
    """For nobody who watches."""
