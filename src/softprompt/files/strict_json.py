"""JSON as its standard has it (RFC 8259), written: no NaN and no infinity; `guards.documents.json_value` reads it.

A figure that is not finite, such as the loss of a step that diverged, is written as null.
"""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

from softprompt.errors import OBEYED


def dumps(value: object, *, indent: int | None = 2, ascii_only: bool = False, sorted_names: bool = False) -> str:
    """JSON text, with null for every number that is not finite, that any encoding can write and no terminal obeys.

    Args:
        value: plain values.
        indent: spaces a level; None puts all on one line.
        ascii_only: escape every letter beyond ASCII.
        sorted_names: put names in their order, so that equal values are equal texts.
    """
    write = partial(json.dumps, indent=indent, ensure_ascii=ascii_only, allow_nan=False, sort_keys=sorted_names)
    try:
        text = write(value)
    except ValueError:
        text = write(finite(value))
    return OBEYED.sub(lambda match: match[0] if match[0] == "\n" else f"\\u{ord(match[0]):04x}", text)


def dump(value: object, path: Path) -> None:
    """Write JSON where nobody reads yet; `whole.write_json` is for places where somebody may.

    Raises:
        OSError: the place cannot be written.
    """
    path.write_text(dumps(value) + "\n", encoding="utf-8")


def finite(value: Any) -> Any:  # of the shape that it is given
    """The value with None for every number in it that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: finite(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(one) for one in value]
    return value
