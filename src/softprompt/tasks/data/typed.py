"""Values of nested records, of the kind that a layout has there: what is of another is told with its key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias, TypeVar

Values: TypeAlias = Mapping[str, object]
Kind = TypeVar("Kind")
_KINDS = {str: "a text", int: "a whole number", dict: "an object", list: "a list"}


def flat_table(values: Values) -> Iterator[Values]:
    """A record is a row; white space around its texts (GLUE's end with a space) is no part of them."""
    yield {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}


def at(values: Values, key: str, kind: type[Kind]) -> Kind:
    """What stands under a key.

    Raises:
        KeyError: nothing does.
        TypeError: it is of another kind.
    """
    return of(values[key], key, kind)


def each(values: Values, key: str, kind: type[Kind]) -> list[Kind]:
    """The list under a key, each of whose values is of a kind; it raises as `at` does."""
    found = values[key]
    return [of(one, key, kind) for one in (found if isinstance(found, tuple) else of(found, key, list))]


def of(value: object, key: str, kind: type[Kind]) -> Kind:
    """A value of a kind; the key is what it is called where it is of another, a `TypeError`."""
    if not isinstance(value, kind):
        raise TypeError(f"{key!r} is a {type(value).__name__} where {_KINDS[kind]} should be")
    return value
