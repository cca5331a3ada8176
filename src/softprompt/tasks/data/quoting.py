"""Whether a tab-separated file has texts in quotes.

GLUE's has none, and its texts hold quotes that are never closed; pandas and spreadsheets put a text in quotes that
holds a quote, a tab or a newline. Only a file that is properly quoted throughout is taken for one of the latter.
"""

from __future__ import annotations

import re

from softprompt.guards import limits
from softprompt.tasks.data.lines import TextFile

_CELL = r'"[^"]*(?:""[^"]*)*"|[^"\t]*'
_ROW = re.compile(rf"(?:{_CELL})(?:\t(?:{_CELL}))*")
_QUOTED = re.compile(r'(?:^|(?<=\t))"([^"]*(?:""[^"]*)*)"(?=\t|\Z)')


def is_quoted(file: TextFile) -> bool:
    """Whether every cell of a file with a quote in it is quoted as in csv, and one of them had to be.

    A quote that is never closed would take rows for a part of its text: so no cell may hold both a tab and a newline.
    """
    had_to, row, quotes = False, "", 0
    for _, line in file.lines():
        row += line
        quotes += line.count('"')
        if quotes % 2 and len(row) <= limits.TEXT:  # within a quoted cell
            continue
        if quotes:
            row = row.removesuffix("\n").removesuffix("\r")
            if "\t" not in row or _ROW.fullmatch(row) is None:
                return False
            cells = _QUOTED.findall(row)
            if any("\t" in cell and "\n" in cell for cell in cells):
                return False
            had_to = had_to or any(mark in cell for cell in cells for mark in '"\t\n')
        row, quotes = "", 0
    return had_to and not row
