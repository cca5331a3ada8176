"""Rows of Excel's sheets, which openpyxl reads."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from softprompt.errors import SoftPromptError
from softprompt.guards import limits
from softprompt.guards.paths import reading
from softprompt.tasks.values import plain

if TYPE_CHECKING:
    from openpyxl import Workbook


def sheet_rows(path: Path, notes: list[str]) -> Iterator[tuple[int, list[object]]]:
    """The rows of a workbook's first sheet that hold anything, numbered as there; formulas are their last values.

    Which sheet it is goes into `notes` where there are others.

    Raises:
        SoftPromptError: openpyxl is not installed, the file is no workbook, or it passes a limit.
    """
    with _opened(path) as book:
        sheet, *others = book.worksheets
        if others:
            names = ", ".join(repr(other.title) for other in others)
            notes.append(f"{path.name}: the sheet {sheet.title!r} is read, and not {names}")
        sheet.reset_dimensions()  # what the file says of them need not be so
        width = 0  # of the first row: empty cells at the end of others count up to it
        for number, row in enumerate(sheet.iter_rows(values_only=True), 1):
            limits.check(len(row), limits.FIELDS, "cells in one row", f"{path}, line {number}")
            cells = [plain(cell) for cell in row]
            while len(cells) > width and cells[-1] is None:
                cells.pop()
            if any(cell is not None for cell in cells):
                width = width or len(cells)
                yield number, [*cells, *[None] * (width - len(cells))]


@contextmanager
def _opened(path: Path) -> Iterator[Workbook]:
    try:
        import openpyxl
    except ImportError:
        raise SoftPromptError(f"{path}: Excel's files take openpyxl: pip install 'softprompt[excel]'") from None
    _check_unpacked(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and of extensions, which hold no values
            book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
        try:
            yield book
        finally:
            book.close()
    except SoftPromptError:
        raise
    except Exception as error:  # openpyxl raises many kinds for a damaged file
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SoftPromptError(f"{path}: not a workbook that can be read ({reason}); save it again as .xlsx") from None


def _check_unpacked(path: Path) -> None:
    """Make sure that a workbook, which is packed, stands for no more than its size lets expect."""
    try:
        with reading(path), zipfile.ZipFile(path) as packed:
            size = sum(part.file_size for part in packed.infolist())
    except zipfile.BadZipFile as error:
        raise SoftPromptError(f"{path}: not a workbook ({error}); save it again as .xlsx") from None
    if size > max(limits.UNPACKED, limits.UNPACKED_TIMES * path.stat().st_size):
        raise SoftPromptError(
            f"{path}: would unpack to {size:,} bytes, more than {limits.UNPACKED_TIMES} a byte of it; save it as csv"
        )
