"""Files and folders that take their place in one rename once all of them is on the disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from safetensors import SafetensorError

from softprompt.errors import SoftPromptError
from softprompt.files import strict_json
from softprompt.files.manifest import MANIFEST, manifest_of
from softprompt.files.scratch import scratch, scratch_file, sweep

_AT_ONCE = 8  # files that are synced together: a disk commits many in the time of one


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Fill a fresh folder beside `folder`, which takes its place with a manifest; see `placing`.

    Raises:
        SoftPromptError: the place cannot be written (no rights, full disk).
    """
    with placing(folder) as beside:
        yield beside
        (beside / MANIFEST).write_text(manifest_of(beside), encoding="utf-8")


@contextmanager
def placing(folder: Path) -> Iterator[Path]:
    """Fill a fresh folder beside `folder`, which takes its place in one rename once it is complete.

    Whatever fails, and whenever the process is killed, what `folder` held before is still there, or comes back with
    the next sweep.

    Raises:
        SoftPromptError: the place cannot be written (no rights, full disk).
    """
    try:
        make_folder(folder.parent)
        sweep(folder.parent)
        with scratch(folder.parent) as beside:
            yield beside
            settle(beside)
            _exchange(beside, folder)
    except OSError as error:
        raise unwritable(folder, error) from None
    except SafetensorError as error:
        raise SoftPromptError(f"{folder}: cannot be written ({error}); free space or choose another folder") from None


def settle(folder: Path) -> None:
    """Give the files of a folder the rights that the umask leaves, and bring all of it to the disk.

    Raises:
        OSError: it cannot be.
    """
    mode = folder.stat().st_mode & 0o666
    paths = list(folder.rglob("*"))
    for path in paths:
        if path.is_file():
            path.chmod(mode)
    sync([folder, *paths])


def sync(paths: Iterable[Path]) -> None:
    """Bring files and folders to the disk.

    Raises:
        OSError: the disk is full or broken.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(_sync, paths))


def make_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, on the disk.

    Raises:
        OSError: it cannot be made.
    """
    try:
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
    except ValueError as error:  # a null byte
        raise OSError(errno.EINVAL, str(error)) from None
    for path in missing:
        _sync(path.parent)


def write_json(path: Path, value: object) -> None:
    """Write strict JSON beside and rename it into place.

    Raises:
        SoftPromptError: the place cannot be written.
    """
    write_text(path, strict_json.dumps(value) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write text beside and rename it into place.

    Raises:
        SoftPromptError: the place cannot be written.
    """
    with replacing_file(path) as file:
        file.write(text.encode("utf-8"))


@contextmanager
def replacing_file(path: Path) -> Iterator[BinaryIO]:
    """Fill a fresh file beside `path`, which takes its place in one rename once it is complete.

    Whatever fails, and whenever the process is killed, what stood at `path` stands there still.

    Raises:
        SoftPromptError: the place cannot be written.
    """
    try:
        make_folder(path.parent)
        with scratch_file(path.parent) as (beside, handle):
            with open(handle, "wb", closefd=False) as file:
                yield file
            os.fsync(handle)
            beside.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise unwritable(path, error) from None


def unwritable(path: Path, error: OSError) -> SoftPromptError:
    """The one line for a place that cannot be written."""
    reason = error.strerror or str(error)
    return SoftPromptError(f"{path}: cannot be written ({reason}); free space or choose another place")


def _exchange(beside: Path, folder: Path) -> None:
    if not folder.exists():
        beside.rename(folder)
        _sync(folder.parent)
        return
    with scratch(folder.parent, old=True) as old:
        folder.rename(old / folder.name)
        try:
            beside.rename(folder)
        except OSError:
            (old / folder.name).rename(folder)
            raise
        _sync(folder.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
