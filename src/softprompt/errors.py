"""What the library raises: a fault that its user can mend, and an interruption, which is none.

And how what a user gave is shown, in messages and everywhere else.
"""

from __future__ import annotations

import re

# What a message may take, in characters; of a longer one the ends are kept, where the thing and the mend stand.
LONGEST_MESSAGE = 2_000
# What a terminal or a reader of lines obeys instead of showing: controls, line ends, turns of the writing direction,
# and halves of surrogate pairs, which no encoding can write.
OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_NAMED = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


class SoftPromptError(ValueError):
    """A fault in what the user gave: one line that names the thing and the mend.

    The command line prints the message alone and exits with 1; Python callers may catch it as `ValueError`. Whatever a
    message quotes, it stays one line of at most `LONGEST_MESSAGE` characters without control characters.
    """

    # Not in `__init__`: `torch.compile` follows the making of an error, and knows no regular expressions.
    def __str__(self) -> str:
        """The message as it is shown."""
        return shown(shortened(super().__str__()))


class Interrupted(KeyboardInterrupt):
    """A run that was asked to stop (Ctrl-C, SIGTERM) and wrote its training state; the message says how it goes on.

    No `SoftPromptError` and no `Exception`: a loop that catches faults and goes on must not swallow it. The command
    line prints the message and exits with 130.
    """

    def __init__(self, message: object = "") -> None:
        """See the class."""
        super().__init__(shown(message))


def shown(text: object) -> str:
    r"""Text as a line of a terminal shows it: what would act on the terminal or end the line is escaped, as `\x1b`.

    Backslashes stay as they are, so this is for reading and not to be undone.
    """
    return OBEYED.sub(_escaped, str(text))


def shortened(text: str, limit: int = LONGEST_MESSAGE) -> str:
    """A text of at most `limit` characters: a longer one without its middle."""
    if len(text) <= limit:
        return text
    end = limit // 4
    return f"{text[: limit - end - 5]} ... {text[-end:]}"


def quoted(value: object, limit: int = 200) -> str:
    """A value for a message, as `repr` writes it, short whatever it is."""
    try:
        return shortened(repr(value[: 2 * limit] if isinstance(value, (str, bytes)) else value), limit)
    except (ValueError, RecursionError):  # an integer of more digits than Python writes, or a nest of values
        return f"a {type(value).__name__} that is too large to show"


def _escaped(match: re.Match[str]) -> str:
    character = match.group()
    code = ord(character)
    return _NAMED.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
