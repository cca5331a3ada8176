"""Lines of text files: UTF-8, or UTF-16 and UTF-32 where their byte order mark says so; packed by gzip or not.

Any other encoding is refused: which one it is could only be guessed, and a wrong guess reads other letters.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from softprompt.errors import SoftPromptError
from softprompt.guards import limits
from softprompt.guards.paths import check_file, reading

PACKED = ".gz"
_CHUNK = 1 << 20  # bytes
_ROW = "put one row a line"
_WIDE = {  # the longer marks first, for UTF-32's begins as UTF-16's does
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file without their ends, numbered from 1; the file is never held whole.

    Raises:
        SoftPromptError: it is no file, cannot be opened or is of another encoding, or a line is longer than
            `limits.LINE`.
    """
    with text_file(path) as file:
        for number, line in file.lines():
            yield number, without_end(line)


def without_end(line: str) -> str:
    """A line without the newline, or the carriage return and newline, at its end."""
    return line.removesuffix("\n").removesuffix("\r")


@dataclass(frozen=True)
class TextFile:
    """A text file that is open, so that it can be looked at and then read.

    Attributes:
        path: where it is.
        file: its bytes, unpacked.
        wide: UTF-16 or UTF-32 where it begins with the mark of one, else None.
    """

    path: Path
    file: BinaryIO
    wide: str | None

    @property
    def notes(self) -> list[str]:
        """What a reader of results should know of how it is read."""
        return [] if self.wide is None else [f"{self.path.name}: read as {self.wide}, as its byte order mark says"]

    def lines(self) -> Iterator[tuple[int, str]]:
        """All lines with their ends, which are newlines alone: texts hold others that `splitlines` takes for one."""
        self.file.seek(0)
        if self.wide is None:
            return _of_utf8(self.path, self.file)
        return _of_wide(self.path, self.file, self.wide)


@contextmanager
def text_file(path: Path) -> Iterator[TextFile]:
    """A text file while it is open.

    Raises:
        SoftPromptError: it is no file, cannot be opened, or would unpack to far more than it is.
    """
    check_file(path)
    if path.suffix.lower() == PACKED:
        _check_unpacked(path)
    with _opened(path) as file:
        start = file.read(4)
        yield TextFile(path, file, next((name for mark, name in _WIDE.items() if start.startswith(mark)), None))


def _of_utf8(path: Path, file: BinaryIO) -> Iterator[tuple[int, str]]:
    for number, data in enumerate(_until(path, file), 1):
        try:
            text = data.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise SoftPromptError(f"{path}, line {number}: {_other(data[error.start : error.start + 1])}") from None
        if number == 1 and "\0" in text[:2]:
            raise SoftPromptError(f"{path}, line 1: not UTF-8 text but UTF-16, it seems; {_mend('UTF-16LE')}")
        yield number, text


def _of_wide(path: Path, file: BinaryIO, encoding: str) -> Iterator[tuple[int, str]]:
    text = io.TextIOWrapper(file, encoding=encoding, newline="\n")
    number = 0
    try:
        while line := text.readline(limits.LINE + 1):
            number += 1
            limits.check(len(line), limits.LINE, "characters in one line and more", f"{path}, line {number}", _ROW)
            yield number, line
    except UnicodeError:
        raise SoftPromptError(
            f"{path}, line {number + 1}: not {encoding} text, which its byte order mark says; save the file as UTF-8"
        ) from None
    finally:
        text.detach()


def _until(path: Path, file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file as bytes."""
    number = 0
    while data := file.readline(limits.LINE + 1):
        number += 1
        limits.check(len(data), limits.LINE, "bytes in one line and more", f"{path}, line {number}", _ROW)
        yield data


def _other(byte: bytes) -> str:
    """What is wrong with a byte that UTF-8 has not, and what it would be where it is most often from."""
    try:
        guess = f", which is {byte.decode('cp1252')!r} in Windows-1252"
    except UnicodeDecodeError:
        guess = ""
    return f"not UTF-8 text (byte 0x{byte.hex()}{guess}); {_mend('WINDOWS-1252' if guess else 'ENCODING')}"


def _mend(encoding: str) -> str:
    return f"save the file as UTF-8, as by: iconv -f {encoding} -t UTF-8"


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """A file open to read its bytes, unpacked.

    Raises:
        SoftPromptError: it cannot be read, or is not what its ending says.
    """
    with reading(path), path.open("rb") as file:
        if path.suffix.lower() != PACKED:
            yield file
            return
        try:
            with gzip.GzipFile(fileobj=file) as packed:
                yield cast("BinaryIO", packed)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise SoftPromptError(f"{path}: not a gzip file, or a part of one ({error}); pack it again") from None


def _check_unpacked(path: Path) -> None:
    """Make sure that a packed file stands for no more than its size lets expect, before any row of it is made.

    Raises:
        SoftPromptError: it does.
    """
    left = max(limits.UNPACKED, limits.UNPACKED_TIMES * path.stat().st_size)
    with _opened(path) as file:
        while data := file.read(_CHUNK):
            left -= len(data)
            if left < 0:
                raise SoftPromptError(
                    f"{path}: would unpack to more than {limits.UNPACKED:,} bytes and more than "
                    f"{limits.UNPACKED_TIMES} bytes a byte of it; unpack it"
                )
