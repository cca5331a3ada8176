"""Values as text: labels as they are compared, names as messages list them."""

from __future__ import annotations

from collections.abc import Sequence

from softprompt.errors import SoftPromptError, quoted


def label_text(value: object) -> str:
    """A label value as text: JSON's true and false, and whole numbers without a decimal point."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    try:
        return str(value).strip()
    except ValueError:
        raise SoftPromptError(f"label {quoted(value)}: give numbers of fewer digits, or texts") from None


def listed(names: Sequence[object]) -> str:
    """Names for a message."""
    return " or ".join(map(repr, names)) if len(names) < 3 else ", ".join(map(repr, names))
