"""Values that are typed with their names, `NAME=VALUE`."""

from __future__ import annotations

from collections.abc import Sequence

from softprompt.errors import SoftPromptError, quoted


def by_name(pairs: Sequence[str], option: str, written: str) -> dict[str, str]:
    """The values of pairs by their names.

    Args:
        pairs: as they were typed.
        option: that they were given to.
        written: a pair as it is meant, for messages.

    Raises:
        SoftPromptError: one has no `=`, or a name is given twice.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise SoftPromptError(f"{option} {quoted(pair)} has no '=': write {option} {written}")
        if name in found:
            raise SoftPromptError(f"{option} {quoted(name)} is given twice: leave one of them out")
        found[name] = value
    return found
