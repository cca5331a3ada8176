"""Rows of csv: cells in quotes may hold the delimiter, line ends and quotes, which are doubled."""

from __future__ import annotations

import csv
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from softprompt.errors import SoftPromptError
from softprompt.guards import limits
from softprompt.tasks.data.lines import TextFile

_PHYSICAL = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
_LOCK = threading.Lock()
_LIMITS: list[int] = []  # Python's own limit, once for each file that is read


def csv_rows(file: TextFile, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """The rows of a file as cells, with the number of the line that each ends in.

    Raises:
        SoftPromptError: it is not proper csv, or a cell is longer than `limits.TEXT`.
    """
    path = file.path
    reader = csv.reader(_physical(file), strict=True, delimiter=delimiter)
    begun = 1
    try:
        with _long_cells():
            for cells in reader:
                yield reader.line_num, cells
                begun = reader.line_num + 1
    except csv.Error as error:
        where = f"{path}, line {reader.line_num}"
        if "field larger" in str(error):
            where, what = f"{path}, line {begun}", f"a text of more than {limits.TEXT:,} characters"
            raise SoftPromptError(f"{where}: {what}, the most there may be; is a quote never closed?") from None
        since = f" in the row that begins in line {begun}" if begun < reader.line_num else ""
        raise SoftPromptError(
            f"{where}: not proper csv ({error}{since}); put texts in double quotes and double the quotes inside"
        ) from None


@contextmanager
def _long_cells() -> Iterator[None]:
    """Let cells be as long as texts may be, until the last of the files that are read at a time is done.

    The limit is one of the process: several files are read in turns, and in several threads.
    """
    with _LOCK:
        _LIMITS.append(_LIMITS[0] if _LIMITS else csv.field_size_limit(limits.TEXT))
    try:
        yield
    finally:
        with _LOCK:
            before = _LIMITS.pop()
            if not _LIMITS:
                csv.field_size_limit(before)


def _physical(file: TextFile) -> Iterator[str]:
    """Lines with their ends, as `csv` wants them: a carriage return alone ends one, too."""
    for _, line in file.lines():
        yield from _PHYSICAL.findall(line) if "\r" in line else (line,)
