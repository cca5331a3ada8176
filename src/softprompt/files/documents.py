"""A JSON document of ours, read with nothing guessed: what our own writer cannot have written is refused."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any  # what a document holds is for its reader's schema to say

from softprompt.errors import SoftPromptError
from softprompt.files.manifest import prove
from softprompt.guards.documents import json_value

# A prompt.json has some kilobytes; of what may be 4 MiB long nothing needs more than 100 MB to be parsed.
_LONGEST = 4 << 20
LONG = 1 << 28  # bytes of what a training wrote: histories of many steps
MEND = "restore the file or save it again"
_SHOWN = 60  # characters of a value in a message


def read_document(path: Path, mend: str = MEND, *, longest: int = _LONGEST) -> dict[str, Any]:
    """Read a JSON object in which each key stands once and every number is finite.

    Args:
        path: of the file.
        mend: what to do where it is damaged.
        longest: bytes that are read at most.

    Raises:
        SoftPromptError: no such file, something else than a file, or no such JSON in it.
    """
    try:
        value = json_value(_text(path, longest))
    except FileNotFoundError:
        raise SoftPromptError(f"{path}: no such file; is this the folder of a finished run or prompt?") from None
    except OSError as error:
        raise SoftPromptError(f"{path}: cannot be read ({error.strerror or plain(error)}): {mend}") from None
    except ValueError as error:  # a null byte in the path, bytes that are no UTF-8, or no JSON
        raise SoftPromptError(f"{path}: cannot be read as JSON ({plain(error, quote=False)}): {mend}") from None
    if not isinstance(value, dict):
        raise SoftPromptError(f"{path}: holds no JSON object: {mend}")
    return value


def read_record(path: Path, mend: str = MEND) -> dict[str, Any]:
    """Read a JSON object that was written with `sealed`.

    Raises:
        SoftPromptError: as `read_document`, or its content differs from what was written.
    """
    found = read_document(path, mend, longest=LONG)
    prove(found, path)
    return found


def plain(value: object, *, quote: bool = True) -> str:
    """A value for a message: short, and in one line whatever stands in it."""
    text = repr(value) if quote else str(value)
    text = "".join(one if one.isprintable() else repr(one)[1:-1] for one in text[: 4 * _SHOWN])
    limit = _SHOWN if quote else 4 * _SHOWN
    return text if len(text) <= limit else f"{text[:limit]}..."


def _text(path: Path, longest: int) -> str:
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is no file")
    if found.st_size > longest:
        raise ValueError(f"{found.st_size:,} bytes, at most {longest:,}")
    return path.read_text(encoding="utf-8")
