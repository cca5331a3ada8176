"""The names of the forms, and whether one holds several prompts: told before anything that is slow is imported."""

from __future__ import annotations

from softprompt.errors import SoftPromptError, quoted

NAMES = ("peft", "vocabulary", "keys-values", "prompt-embeds", "onnx")
SEVERAL = frozenset({"vocabulary"})


def check_form(to: str, count: int) -> None:
    """Make sure that there is such a form, and that it holds so many prompts.

    Raises:
        SoftPromptError: there is none, or it does not.
    """
    if to not in NAMES:
        raise SoftPromptError(f"to {quoted(to)}: no such form: choose one of {', '.join(NAMES)}")
    if count != 1 and not (count and to in SEVERAL):
        raise SoftPromptError(f"to {to!r} takes one prompt, and there are {count}: export each to its own folder")
