"""Paths that a user gave: whatever stands there, or does not, is one line and never waits.

Every public call that takes a path sends it through `path_of`, which looks once. Links are followed; a pipe, a socket
and a device are no files, for reading them may wait for ever or never end.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from softprompt.errors import SoftPromptError, quoted

# Path folds the two slashes of an address into one.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def path_of(given: str | os.PathLike[str], what: str) -> Path:
    """A path as the user means it, with `~` expanded.

    Args:
        given: what the user gave.
        what: it is for, for the message: an option, or `data`.

    Raises:
        SoftPromptError: it is no text and no path, is empty, holds a null byte, is an address of the network, or cannot
            be looked at: a circle of links, a link to nothing, too long a name, a file where a folder should be, or no
            right.
    """
    text = os.fspath(given) if isinstance(given, str | os.PathLike) else None
    if not isinstance(text, str):
        raise SoftPromptError(f"{what} is of type {type(given).__name__}, and no path: give a text or a pathlib.Path")
    if not text:
        raise SoftPromptError(f"{what} is empty: give a path, or . for the current folder")
    if "\0" in text:
        raise SoftPromptError(f"{what} {quoted(text)} holds a null byte, which no path may: check the path")
    path = _expanded(text, what)
    if _ADDRESS.match(text) and not os.path.lexists(path):
        raise SoftPromptError(f"{what} {quoted(text)} is an address, and only paths are read: copy it here first")
    try:
        path.stat()
    except FileNotFoundError:
        if path.is_symlink():
            target = quoted(os.fspath(path.readlink()))
            raise SoftPromptError(f"{what} {quoted(text)} is a link to {target}, which is not there") from None
    except OSError as error:
        raise SoftPromptError(f"{what} {quoted(text)} cannot be reached ({reason(error)}): check the path") from None
    return path


def unicode_path_of(given: str | os.PathLike[str], what: str) -> Path:
    """A path below which tensors are read and written: safetensors opens none whose name is no Unicode.

    Raises:
        SoftPromptError: see `path_of`; or its name is no Unicode.
    """
    path = path_of(given, what)
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise SoftPromptError(f"{what} {quoted(str(path))}: its name is no Unicode: rename the folder") from None
    return path


def folder_for(given: str | os.PathLike[str], what: str) -> Path:
    """A folder to write to, which need not be there yet.

    Raises:
        SoftPromptError: see `unicode_path_of`; or something else than a folder stands there, or nothing may be made.
    """
    path = unicode_path_of(given, what)
    if path.exists() and not path.is_dir():
        raise SoftPromptError(f"{what} {path} is {kind_of(path)}: choose a folder")
    _check_writable(path, what)
    return path


def file_for(given: str | os.PathLike[str], what: str) -> Path:
    """A file to write, which need not be there yet.

    Raises:
        SoftPromptError: see `path_of`; or something else than a file stands there, or nothing may be made there.
    """
    path = path_of(given, what)
    if path.exists() and not path.is_file():
        raise SoftPromptError(f"{what} {path} is {kind_of(path)}: choose a file")
    _check_writable(path.parent, what)
    return path


def kind_of(path: Path) -> str:
    """What stands at a path, in words."""
    mode = path.stat().st_mode
    return next((name for test, name in _KINDS if test(mode)), "a file")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn a refusal of the system into one line.

    Raises:
        SoftPromptError: names the path and the reason.
    """
    try:
        yield
    except OSError as error:
        raise SoftPromptError(
            f"{error.filename or path}: cannot be read ({reason(error)}); check the path and its rights"
        ) from None


def check_file(path: Path) -> None:
    """Make sure that a path can be opened and read to an end.

    Raises:
        SoftPromptError: there is nothing, or something else than a file.
    """
    with reading(path):
        if not stat.S_ISREG(path.stat().st_mode):
            raise SoftPromptError(f"{path}: is {kind_of(path)}, no file; name a file")


def entries(folder: Path) -> list[Path]:
    """What a folder holds, by name.

    Raises:
        SoftPromptError: it cannot be listed.
    """
    with reading(folder):
        return sorted(folder.iterdir())


def reason(error: OSError) -> str:
    """Why the system refused, in its own words."""
    return (error.strerror or str(error) or type(error).__name__).rstrip(".")


def _expanded(text: str, what: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # no home, or nobody of that name
        raise SoftPromptError(f"{what} {quoted(text)}: whose home ~ means is not known: write the path out") from None


def _check_writable(folder: Path, what: str) -> None:
    """The nearest folder that is there lets things be made in it."""
    there = next((one for one in (folder, *folder.parents) if one.exists()), None)
    if there is not None and not there.is_dir():
        raise SoftPromptError(f"{what} {folder}: {there} is {kind_of(there)}, no folder: choose another place")
    if there is None or not os.access(there, os.W_OK | os.X_OK):
        why = os.strerror(errno.ENOENT if there is None else errno.EACCES)
        raise SoftPromptError(f"{what} {folder}: cannot be written ({why}): choose another place")
