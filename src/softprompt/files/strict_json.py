"""JSON as its standard has it (RFC 8259): no NaN and no infinity, neither written nor read.

A figure that is not finite, such as the loss of a step that diverged, is written as null.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NoReturn

from softprompt.errors import OBEYED


def dumps(value: Any, *, indent: int | None = 2, ascii_only: bool = False) -> str:
    """JSON text, with null for every number that is not finite, that any encoding can write and no terminal obeys.

    Args:
        value: plain values.
        indent: spaces a level; None puts all on one line.
        ascii_only: escape every letter beyond ASCII.
    """
    options: dict[str, Any] = {"indent": indent, "ensure_ascii": ascii_only, "allow_nan": False}
    try:
        text = json.dumps(value, **options)
    except ValueError:
        text = json.dumps(finite(value), **options)
    return OBEYED.sub(lambda match: match[0] if match[0] == "\n" else f"\\u{ord(match[0]):04x}", text)


def loads(text: str) -> Any:
    """A value from JSON text.

    Raises:
        ValueError: no JSON, a bare NaN, Infinity or 1e999 among it, a key that stands twice in one object, an integer
            of more than 20 characters, or nested too deep to be read.
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_int)
    except RecursionError:
        raise ValueError("nested too deep") from None


def dump(value: Any, path: Path) -> None:
    """Write JSON where nobody reads yet; `whole.write_json` is for places where somebody may.

    Raises:
        OSError: the place cannot be written.
    """
    path.write_text(dumps(value) + "\n", encoding="utf-8")


def finite(value: Any) -> Any:
    """The value with None for every number in it that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: finite(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(one) for one in value]
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"{_short(twice)} stands twice in one object")
    return found


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {_short(text)} is too large")
    return value


def _int(text: str) -> int:
    if len(text) > 20:
        raise ValueError(f"the number {_short(text)} is too large")
    return int(text)


def _short(text: str) -> str:
    return text if len(text) <= 20 else f"{text[:20]}..."
