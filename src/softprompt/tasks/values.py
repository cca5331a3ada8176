"""Values as text: cells of tables in plain kinds, labels as they are compared, names as messages list them."""

from __future__ import annotations

import datetime
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache

import numpy as np

from softprompt.errors import SoftPromptError, quoted
from softprompt.guards import limits

_NUMBER = re.compile(r"[+-]?(\d{1,40}\.?\d{0,40}|\.\d{1,40})([eE][+-]?\d{1,3})?", re.ASCII)
_DATE = re.compile(r"(\d{4}-\d\d-\d\d)([T ]00:00(:00(\.0+)?)?)?", re.ASCII)
_TRUTHS = {"false": 0, "true": 1}
_WORDS = {"no": 0, "off": 0, "yes": 1, "on": 1}  # what YAML 1.1 reads as truths


def plain(value: object, levels: int = limits.LEVELS) -> object:
    """A cell of a table in the kinds that JSON has: whatever says that a value is missing is None, dates are texts.

    A time of midnight is its date alone, as pandas and spreadsheets write it. What is none of these kinds stays.

    Args:
        value: of the cell.
        levels: how many lists and mappings inside each other are looked into; frames hold arrays there, too.
    """
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, np.generic):
        return plain(_unboxed(value))
    if isinstance(value, (float, Decimal)):
        missing = value != value
        return None if missing else value if isinstance(value, float) else str(value)
    if isinstance(value, datetime.datetime):
        if value != value:  # pandas' NaT is one
            return None
        midnight = value.time() == datetime.time() and value.tzinfo is None
        return value.date().isoformat() if midnight else value.isoformat(sep=" ")
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if levels and isinstance(value, dict):
        return {name: plain(one, levels - 1) for name, one in value.items()}
    if levels and isinstance(value, (list, tuple)):
        return [plain(one, levels - 1) for one in value]
    return None if type(value).__name__ == "NAType" else value  # pandas' own, which equals nothing


def several(value: object) -> str | None:
    """What a value is called that is no single one, as `a list`; None for one that can be shown as a text."""
    if isinstance(value, (str, int, float)) or value is None:
        return None
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, (list, tuple, set, frozenset)):
        return "a list"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "bytes"
    return "an array" if getattr(value, "shape", ()) != () else None


def meant(given: object, names: Iterable[object]) -> str | None:
    """The name that was likely meant by another one: the same in other letters, or one that is spelt nearly so."""
    folded: dict[str, str] = {}
    for name in map(str, names):
        folded.setdefault(name.strip().casefold(), name)
    near = difflib.get_close_matches(str(given).strip().casefold()[:200], folded, n=1, cutoff=0.75)
    return folded[near[0]] if near else None


def label_text(value: object) -> str:
    """A label value as text: JSON's true and false, and whole numbers without a decimal point.

    Raises:
        SoftPromptError: a list, a mapping or bytes, or a number of too many digits.
    """
    if isinstance(value, str):
        return value.strip()
    kind = several(value)
    if kind is not None:
        raise SoftPromptError(f"label {quoted(value)} is {kind}: give one text or number")
    known = plain(value)
    if isinstance(known, float) and known.is_integer():
        return str(int(known))
    return field_text(value if known is None else known).strip()


def field_text(value: object) -> str:
    """A number or truth that stands where a text should, as JSON writes it.

    Raises:
        SoftPromptError: a number of more digits than Python writes.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    try:
        return str(value)
    except ValueError:
        raise SoftPromptError(f"the number {quoted(value)}: give numbers of fewer digits, or texts") from None


def meaning(text: str) -> Decimal | str | None:
    """The number that a label's text is, truths being 0 and 1, or the date of a midnight; None for other texts."""
    truth = _TRUTHS.get(text.lower())
    if truth is not None:
        return Decimal(truth)
    date = _DATE.fullmatch(text)
    return date[1] if date else Decimal(text) if _NUMBER.fullmatch(text) else None


def same_meaning(text: str, other: str) -> bool:
    """Whether two texts are the same number, truth or date."""
    number = meaning(text)
    return number is not None and number == meaning(other)


def index_text(value: object) -> str:
    """A label's text, whole numbers as ``1`` however they are written: as 1.0 or ``1.0``."""
    text = label_text(value)
    number = None if text.lower() in _TRUTHS else meaning(text)
    whole = isinstance(number, Decimal) and abs(number) < 10**9 and number == int(number)
    return str(int(number or 0)) if whole else text


def find_label(value: object, labels: Iterable[str], aliases: Mapping[str, str] | None = None) -> str | None:
    """The label that a table's value is.

    A table's format decides how a value is written: as ``True`` in csv, true in JSON, 1.0 where a number is missing in
    its column. So the label of the same text comes first, then the only one of the same `meaning`; for a truth, last,
    the only one among YAML's words for it.

    Args:
        value: of a table, or of a definition.
        labels: the label values.
        aliases: other spellings of them.
    """
    text, aliases = label_text(value), aliases or {}
    names = labels if isinstance(labels, Mapping) else dict.fromkeys(labels)
    if text in names:
        return text
    if text in aliases:
        return aliases[text]
    wanted = meaning(text)
    if wanted is None:
        return None
    numbers, words = _by_meaning(tuple(names), tuple(aliases.items()))
    return numbers[wanted] if wanted in numbers else words.get(wanted) if text.lower() in _TRUTHS else None


def listed(names: Sequence[object]) -> str:
    """Names for a message."""
    return " or ".join(map(repr, names)) if len(names) < 3 else ", ".join(map(repr, names))


def _unboxed(value: np.generic) -> object:
    """A number, truth or time of numpy as Python's; a shorter float is the number that it is written as."""
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else value.astype("datetime64[us]").item()
    if isinstance(value, (np.float16, np.float32)):
        return float(str(value))
    return value.item()


@lru_cache(maxsize=16)
def _by_meaning(
    labels: tuple[str, ...], aliases: tuple[tuple[str, str], ...]
) -> tuple[dict[Decimal | str, str | None], dict[Decimal | str, str | None]]:
    """Labels by their meaning, and by the truth that YAML reads in their words; None where several have one."""
    found: tuple[dict[Decimal | str, set[str]], dict[Decimal | str, set[str]]] = ({}, {})
    for spelling, label in (*zip(labels, labels, strict=True), *aliases):
        word = _WORDS.get(spelling.lower())
        for known, number in zip(found, (meaning(spelling), None if word is None else Decimal(word)), strict=True):
            if number is not None:
                known.setdefault(number, set()).add(label)
    numbers, words = (
        {number: one.pop() if len(one) == 1 else None for number, one in known.items()} for known in found
    )
    return numbers, words
