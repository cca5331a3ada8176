"""Lines of text files: UTF-8, and other encodings that a mark, the bytes or the user tells; packed or not."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from softprompt.errors import SoftPromptError
from softprompt.guards import limits
from softprompt.guards.paths import check_file, reading
from softprompt.tasks.data.encodings import LEGACY, NAMES, example, is_windows_1252, wide_by_zeros
from softprompt.tasks.data.watching import watched_file

_PACKERS: dict[str, Callable[[BinaryIO], object]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
}
PACKED = tuple(_PACKERS)
_CHUNK = 1 << 20  # bytes
_START = 1 << 12  # bytes, in which a file shows what it is
_ROW = "put one row a line"
_UTF_8 = "UTF-8-SIG"  # with its mark or without
_MARKS = {  # the longer marks first, for UTF-32's begins as UTF-16's does
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
    codecs.BOM_UTF8: _UTF_8,
}


def lines(path: Path, encoding: str | None = None, notes: list[str] | None = None) -> Iterator[tuple[int, str]]:
    """The lines of a file without their ends, numbered from 1; the file is never held whole.

    Args:
        path: of the file.
        encoding: of it; told by its bytes where it is None.
        notes: takes what a reader of results should know of how it was read.

    Raises:
        SoftPromptError: it is no file, cannot be opened or is of another encoding, or a line is longer than
            `limits.LINE`.
    """
    with text_file(path, encoding, notes) as file:
        for number, line in file.lines():
            yield number, without_end(line)


def without_end(line: str) -> str:
    """A line without the newline, or the carriage return and newline, at its end."""
    return line.removesuffix("\n").removesuffix("\r")


class TextFile:
    """A text file that is open, so that it can be looked at and then read.

    Args:
        path: where it is.
        file: its bytes, unpacked.
        encoding: of it, as the user says.
        notes: takes what a reader of results should know of how it was read.
    """

    def __init__(self, path: Path, file: BinaryIO, encoding: str | None, notes: list[str]) -> None:
        """See the class."""
        self.path, self.notes = path, notes
        self._file, self._encoding, self._legacy = file, encoding, False
        start = file.read(_START)
        marked = next((name for mark, name in _MARKS.items() if start.startswith(mark)), None)
        if encoding is not None:
            self._encoding = _agreed(path, encoding, marked)
        elif marked is not None:
            self._encoding = marked
            if marked != _UTF_8:
                notes.append(f"{path.name}: read as {marked}, as its byte order mark says")
        elif (wide := wide_by_zeros(start)) is not None:
            self._encoding = wide
            notes.append(f"{path.name}: read as {NAMES[wide]} (every other byte of it is zero)")

    def lines(self) -> Iterator[tuple[int, str]]:
        """All lines with their ends, which are newlines alone: texts hold others that `splitlines` takes for one."""
        self._file.seek(0)
        told = self._as_utf_8() if self._encoding in (None, _UTF_8) else self._as_told(str(self._encoding))
        for number, line in told:
            if "\0" in line:
                raise SoftPromptError(
                    f"{self.path}, line {number}: a null byte, which no text has: take it out, as by: tr -d '\\000', "
                    "or give encoding, where the file is of one with such bytes"
                )
            yield number, line

    def _as_utf_8(self) -> Iterator[tuple[int, str]]:
        encoding, plain = LEGACY if self._legacy else "utf-8-sig", True
        for number, data in self._data():
            try:
                text = data.decode(encoding)
            except UnicodeDecodeError as error:
                if not plain or self._encoding is not None or not self._is_legacy(number):
                    byte = data[error.start : error.start + 1]
                    raise SoftPromptError(f"{self.path}, line {number}: {_other(byte)}") from None
                encoding, text = LEGACY, data.decode(LEGACY)
                self._legacy = True
                self.notes.append(
                    f"{self.path.name}: read as {NAMES[LEGACY]}, as it is not UTF-8 (line {number}: "
                    f"{example(text)!r}); give encoding if that is wrong"
                )
            if encoding != LEGACY:
                plain, encoding = plain and text.isascii(), "utf-8"  # a mark stands in the first line alone
            yield number, text

    def _is_legacy(self, number: int) -> bool:
        """Whether the lines from a number on are Windows-1252; reading goes on where it was."""
        place = self._file.tell()
        self._file.seek(0)
        found = is_windows_1252(data for line, data in self._data() if line >= number)
        self._file.seek(place)
        return found

    def _as_told(self, encoding: str) -> Iterator[tuple[int, str]]:
        text = io.TextIOWrapper(self._file, encoding=encoding, newline="\n")
        number = 0
        try:
            while line := text.readline(limits.LINE + 1):
                number += 1
                where = f"{self.path}, line {number}"
                limits.check(len(line), limits.LINE, "characters in one line and more", where, _ROW)
                yield number, line
        except UnicodeError:
            name = NAMES.get(encoding, encoding)
            raise SoftPromptError(
                f"{self.path}, line {number + 1}: not {name} text, which it was read as: give another encoding, or "
                "save the file as UTF-8"
            ) from None
        finally:
            text.detach()

    def _data(self) -> Iterator[tuple[int, bytes]]:
        """The lines as bytes."""
        number = 0
        while data := self._file.readline(limits.LINE + 1):
            number += 1
            limits.check(len(data), limits.LINE, "bytes in one line and more", f"{self.path}, line {number}", _ROW)
            yield number, data


@contextmanager
def text_file(path: Path, encoding: str | None = None, notes: list[str] | None = None) -> Iterator[TextFile]:
    """A text file while it is open; the arguments are those of `lines`.

    Raises:
        SoftPromptError: it is no file, cannot be opened, or would unpack to far more than it is.
    """
    check_file(path)
    if path.suffix.lower() in PACKED:
        _check_unpacked(path)
    with _opened(path) as file:
        yield TextFile(path, file, encoding, [] if notes is None else notes)


def _agreed(path: Path, encoding: str, marked: str | None) -> str:
    """The encoding that a user gave, or its form that takes off the mark that a file begins with.

    Raises:
        SoftPromptError: it begins with the mark of another.
    """
    name = codecs.lookup(encoding).name
    if marked is None:
        return _UTF_8 if name == "utf-8" else encoding
    if not name.startswith(marked.lower().removesuffix("-sig")):
        raise SoftPromptError(
            f"{path}: begins with the mark of {marked.removesuffix('-SIG')}, and is not {encoding}: leave encoding out"
        )
    return marked


def _other(byte: bytes) -> str:
    """What is wrong with a byte that UTF-8 has not, and what it would be where it is most often from."""
    try:
        guess = f", which would be {byte.decode(LEGACY)!r} in {NAMES[LEGACY]}"
    except UnicodeDecodeError:
        guess = ""
    return (
        f"not UTF-8 text (byte 0x{byte.hex()}{guess}), and its other bytes do not tell its encoding; give encoding, as "
        "--encoding cp1250, or save the file as UTF-8, as by: iconv -f ENCODING -t UTF-8"
    )


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """A file open to read its bytes, unpacked.

    Raises:
        SoftPromptError: it cannot be read, or is not what its ending says.
    """
    ending = path.suffix.lower()
    with reading(path), watched_file(path) as file:
        if ending not in PACKED:
            yield file
            return
        try:
            with cast("BinaryIO", _PACKERS[ending](file)) as packed:
                yield packed
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            kind = {".gz": "a gzip", ".bz2": "a bzip2", ".xz": "an xz"}[ending]
            raise SoftPromptError(f"{path}: not {kind} file, or a part of one ({error}); pack it again") from None


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
