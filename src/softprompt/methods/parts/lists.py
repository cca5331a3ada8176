"""Options that are lists: tuples in Python, one text with separators on the command line."""

from __future__ import annotations

from pydantic import BeforeValidator


def split_at(separator: str) -> BeforeValidator:
    """A validator that takes a text apart at a separator and leaves everything else as it is."""

    def parts(value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(separator) if part.strip())

    return BeforeValidator(parts)
