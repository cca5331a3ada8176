"""A JSON document of ours, read with nothing guessed: what our own writer cannot have written is refused."""

from __future__ import annotations

import json
import math
import stat
from pathlib import Path
from typing import Any

from softprompt.errors import SoftPromptError

# A prompt.json has some kilobytes; of what may be 4 MiB long nothing needs more than 100 MB to be parsed.
_LONGEST = 4 << 20
_SHOWN = 60  # characters of a value in a message


def read_document(path: Path, mend: str = "restore the file or save it again") -> dict[str, Any]:
    """Read a JSON object in which each key stands once and every number is finite.

    Raises:
        SoftPromptError: no such file, something else than a file, or no such JSON in it.
    """
    try:
        value = json.loads(
            _text(path), object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_int
        )
    except FileNotFoundError:
        raise SoftPromptError(f"{path}: no such file; is this the folder of a finished run or prompt?") from None
    except RecursionError:
        raise SoftPromptError(f"{path}: cannot be read as JSON (nested too deep): {mend}") from None
    except OSError as error:
        raise SoftPromptError(f"{path}: cannot be read ({error.strerror or plain(error)}): {mend}") from None
    except ValueError as error:  # a null byte in the path, bytes that are no UTF-8, or no JSON
        raise SoftPromptError(f"{path}: cannot be read as JSON ({plain(error, quote=False)}): {mend}") from None
    if not isinstance(value, dict):
        raise SoftPromptError(f"{path}: holds no JSON object: {mend}")
    return value


def plain(value: object, *, quote: bool = True) -> str:
    """A value for a message: short, and in one line whatever stands in it."""
    text = repr(value) if quote else str(value)
    text = "".join(one if one.isprintable() else repr(one)[1:-1] for one in text[: 4 * _SHOWN])
    limit = _SHOWN if quote else 4 * _SHOWN
    return text if len(text) <= limit else f"{text[:limit]}..."


def _text(path: Path) -> str:
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is no file")
    if found.st_size > _LONGEST:
        raise ValueError(f"{found.st_size:,} bytes, at most {_LONGEST:,}")
    return path.read_text(encoding="utf-8")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{plain(key)} stands twice in one object")
        found[key] = value
    return found


def _constant(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {plain(text, quote=False)} is too large")
    return value


def _int(text: str) -> int:
    if len(text) > 20:
        raise ValueError(f"the number {plain(text[:20], quote=False)}... is too large")
    return int(text)
