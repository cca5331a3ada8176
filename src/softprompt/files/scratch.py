"""Scratch: what is being written, beside its place and under a lock, so that a kill's scraps can be told and swept.

A name alone does not say whether its process still lives, and process ids come again; a lock does, for the system
takes it from a process that dies. Where a file system knows no locks, nothing is ever taken for a scrap.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_SCRATCH = re.compile(r"\.softprompt-(new|old)-[0-9a-f]{8}")
# What was written before there were locks: `.checkpoint-40-k3j_9xq2`, `.prompt-old-k3j_9xq2`.
_EARLIER = re.compile(r"\.(prompt|model|checkpoint-\d+|run\.json|metrics\.json|gemma3-270m-\w+-\w)-(old-)?[a-z0-9_]{8}")


@dataclass(frozen=True)
class Swept:
    """What a sweep did with one scrap.

    Attributes:
        path: that was removed, or that has its place back.
        size: in bytes.
        put_back: it was the only whole copy of what a kill left half exchanged.
    """

    path: Path
    size: int
    put_back: bool


@contextmanager
def scratch(parent: Path, *, old: bool = False) -> Iterator[Path]:
    """A fresh folder in `parent`, removed in the end unless it was renamed.

    Args:
        parent: a folder that is there.
        old: it will hold what another folder takes the place of, and gives it back should that fail.
    """
    path, handle = _fresh(parent, "old" if old else "new", folder=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(handle)


@contextmanager
def scratch_file(parent: Path) -> Iterator[tuple[Path, int]]:
    """A fresh file in `parent` and its descriptor, removed in the end unless it was renamed."""
    path, handle = _fresh(parent, "new", folder=False)
    try:
        yield path, handle
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def lock(handle: int) -> bool | None:
    """Take the lock of an open file or folder, which its descriptor holds until it is closed or its process ends.

    Returns:
        Whether it was taken; False where somebody has it, None where the file system knows no locks.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def sweep(folder: Path, *, deep: bool = False) -> list[Swept]:
    """Remove the scraps of dead processes; put back what a kill left without its place.

    Args:
        folder: in which they are looked for.
        deep: in the folders below it, too.
    """
    done: list[Swept] = []
    for place, folders, files in os.walk(folder):
        scraps = [name for name in (*folders, *files) if _SCRATCH.fullmatch(name) or _EARLIER.fullmatch(name)]
        for name in scraps:
            done += _swept(Path(place) / name)
        folders[:] = [name for name in folders if name not in scraps] if deep else []
    return done


def _fresh(parent: Path, kind: str, *, folder: bool) -> tuple[Path, int]:
    """A new name and a descriptor that holds its lock; the umask alone decides who may read it."""
    while True:
        path = parent / f".softprompt-{kind}-{secrets.token_hex(4)}"
        try:
            handle = _made(path, folder=folder)
        except FileExistsError:
            continue
        if handle is None:
            continue
        if lock(handle) is not False and stands(path, handle):
            return path, handle
        os.close(handle)  # a sweep came between its making and its lock


def _made(path: Path, *, folder: bool) -> int | None:
    if not folder:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    path.mkdir()
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError:
        path.rmdir()
        raise


def stands(path: Path, handle: int) -> bool:
    """Whether a name still belongs to what was opened by it."""
    try:
        return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(handle))
    except FileNotFoundError:
        return False


def _swept(path: Path) -> list[Swept]:
    """Take one scrap away, unless somebody is at it or it may not be touched."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return []
    try:
        if not lock(handle) or not stands(path, handle):
            return []
        return _taken_away(path)
    except OSError:
        return []
    finally:
        os.close(handle)


def _taken_away(path: Path) -> list[Swept]:
    if not path.is_dir():
        size = path.stat().st_size
        path.unlink()
        return [Swept(path, size, put_back=False)]
    done: list[Swept] = []
    if "-old-" in path.name:
        for kept in path.iterdir():
            place = path.parent / kept.name
            if not os.path.lexists(place):
                kept.rename(place)
                done.append(Swept(place, _size(place), put_back=True))
    size = _size(path)
    shutil.rmtree(path)
    return done if done and not size else [*done, Swept(path, size, put_back=False)]


def _size(path: Path) -> int:
    return sum(one.lstat().st_size for one in path.rglob("*") if one.is_file())
