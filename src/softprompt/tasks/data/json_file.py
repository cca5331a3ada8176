"""A file that is one JSON value: a list of rows, or an object whose `data` (SQuAD) or `entries` (WebNLG) is one.

The file is never parsed as a whole. Its rows are told apart by their brackets, and each is parsed within `limits` as a
line of JSON is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from softprompt.errors import SoftPromptError
from softprompt.guards import limits
from softprompt.guards.documents import parse_json
from softprompt.guards.paths import check_file, reading

_LISTS = ('"data"', '"entries"')  # what the list of rows is called
_BEGIN = 1 << 16  # bytes, in which a file shows whether it is lines
# A whole string (its closing quote may be missing at the end of a damaged file), or a bracket.
_PIECE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{}]', re.DOTALL)


def each_object(path: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    """The rows of a file with their numbers, from 1.

    Raises:
        SoftPromptError: it is larger than `limits.JSON`, not UTF-8, or holds no list of objects; or a row is no JSON.
    """
    text = _text(path)
    start = _start(text)
    if start is None:
        raise SoftPromptError(
            f"{path}: no list of rows in it; write a JSON list of objects (in pandas to_json(orient='records')), or an "
            "object with such a list as 'data'"
        )
    for number, part in enumerate(_parts(text, start, path), 1):
        where = f"{path}, line {number}"
        limits.check(len(part), limits.LINE, "characters in one object and more", where, "put less into one row")
        values = parse_json(part, where)
        if not isinstance(values, dict):
            raise SoftPromptError(f"{where}: not a JSON object; give one object a row")
        yield number, values


def is_lines(path: Path) -> bool:
    """Whether a file is one object a line in spite of its name, which then is read line by line."""
    with reading(path), path.open("rb") as file:
        first, _, rest = file.read(_BEGIN).removeprefix(b"\xef\xbb\xbf").lstrip().partition(b"\n")
    return first.startswith(b"{") and first.rstrip().endswith(b"}") and rest.lstrip().startswith(b"{")


def _text(path: Path) -> str:
    check_file(path)
    with reading(path), path.open("rb") as file:
        data = file.read(limits.JSON + 1)
    limits.check(len(data), limits.JSON, "bytes and more", str(path), "write the rows as jsonl, one a line")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SoftPromptError(f"{path}: not UTF-8 text; save the file as UTF-8") from None


def _start(text: str) -> int | None:
    """Where the list of rows begins, behind its bracket."""
    level, key = 0, ""
    for match in _PIECE.finditer(text):
        piece = match.group()
        if piece[0] == '"':
            key = piece if level == 1 else key
        elif piece in "]}":
            level -= 1
        elif piece == "[" and (level == 0 or (level == 1 and key in _LISTS)):
            return match.end()
        elif level == 0 and piece != "{":
            return None
        else:
            level += 1
    return None


def _parts(text: str, start: int, path: Path) -> Iterator[str]:
    """The texts of the list's objects."""
    level, first, end = 0, start, start
    for match in _PIECE.finditer(text, start):
        piece = match.group()
        if piece in "[{":
            if not level:
                first = match.start()
                if text[end:first].strip(" \t\r\n,"):
                    break
            level += 1
        elif piece in "]}":
            level -= 1
            if level < 0:
                if text[end : match.start()].strip():
                    break
                return
            end = match.end()
            if not level:
                yield text[first:end]
        elif not level:
            break
    raise SoftPromptError(f"{path}: the list of rows holds what is no object, or does not end; write it again")
