"""How much of each thing is parsed, in one place; `docs/tasks.md` lists them.

They are far above what real data holds and low enough that whatever passes one is refused in under a second and within
200 MB. What is long without being strange, such as a file of many gigabytes of ordinary rows, has no limit.
"""

from __future__ import annotations

from softprompt.errors import SoftPromptError

MIB = 1 << 20

# Files of rows.
LINE = 8 * MIB  # bytes of one line, or of one JSON object
JSON = 256 * MIB  # bytes of a file that is one JSON list of rows; SQuAD's have 42 million
TEXT = 2_000_000  # characters of one text: a field, a choice, an answer, a cell of a table
LEVELS = 100  # lists and objects inside each other
CONTAINERS = 200_000  # lists and objects in one line of JSON
DIGITS = 1_000  # of one number
CHOICES = 1_000  # candidates of one row
# What a packed file, or a column of it, may unpack to: that much whatever its size, and so many times its size.
UNPACKED, UNPACKED_TIMES = 8 * MIB, 100  # bytes
ROWS, ROWS_A_BYTE = 500_000, 10

# Task definitions.
DEFINITION = MIB  # bytes of a YAML file
VALUES = 50_000  # keys and values in it, whatever aliases stand for counted each time
LABELS = 10_000
VOCABULARY = 100_000  # words that a fact's answer may be
FIELDS = 1_000
NAME = 1_000  # characters of a name of a task, a field or a label value
TEMPLATE = 100_000  # characters
PLACES = 1_000  # of fields, prompts and so on in one template


def check(count: int, limit: int, what: str, where: str, mend: str = "") -> None:
    """Raise `SoftPromptError` where a count passes a limit, as ``tasks.yaml: 101 levels deep, at most 100``."""
    if count > limit:
        raise SoftPromptError(f"{where}: {count:,} {what}, at most {limit:,}{f'; {mend}' if mend else ''}")


def check_text(text: str, where: str) -> None:
    """Make sure that a text can be tokenised in bounded time, and at all.

    Raises:
        SoftPromptError: it is longer than `TEXT`, or holds half a surrogate pair.
    """
    check(len(text), TEXT, "characters in one text", where, "cut it into several rows")
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise SoftPromptError(
            f"{where}: {text[error.start]!r} at character {error.start + 1:,} is half a surrogate pair, no character; "
            "save the text as UTF-8"
        ) from None
