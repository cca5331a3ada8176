"""What a column of answers makes of a task: classes with their words, numbers between bounds, or free text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from softprompt.errors import SoftPromptError
from softprompt.guards import limits
from softprompt.tasks.guess.names import label_rank
from softprompt.tasks.guess.profile import Profile

Keys = dict[str, object]
_MOST_NUMBERS = 20  # whole numbers that are classes whatever the column is called
_SURE = 12  # the rank of a name that says nothing of numbers, as `label` and `class`
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_TRUTHS = {"false": "no", "true": "yes", "0": "no", "1": "yes"}
_SIGNS = {"-1": "negative", "0": "neutral", "1": "positive"}


def answer_keys(column: Profile, others: Sequence[Profile], *, asked: bool, origin: str) -> Keys:
    """The keys of a task's definition that say what the answers are.

    Args:
        column: of the answers in the rows to train on.
        others: the same column in other files, whose labels count, too.
        asked: the user chose the column, so its values need not look like labels.
        origin: of the table, for messages.

    Raises:
        SoftPromptError: there is one class alone, or there are too many.
    """
    if column.nested and asked:
        return _free()
    numbers = _numbers(column, others)
    if numbers and not _are_classes(column):
        if len(numbers) == 1:
            raise SoftPromptError(f"{origin}: column {column.name!r} has one value alone, {numbers[0]:g}: name another")
        return {"kind": "regression", "bounds": (min(numbers), max(numbers)), "metrics": ("pearson",)}
    if asked and (column.many or len(column.labels) < len(column.counts) or 2 * len(column.counts) > column.filled > 9):
        return _free()
    values = sorted({value for one in (column, *others) for value in one.labels}, key=_order)
    if len(values) < 2:
        only = f"one value alone, {values[0]!r}" if values else "no values"
        raise SoftPromptError(f"{origin}: the label's column {column.name!r} has {only}: give rows of two classes")
    limits.check(len(values), limits.LABELS, "classes", f"{origin}, column {column.name!r}", "name another")
    return {"labels": words_for(values), "metrics": ("accuracy", "macro_f1")}


def words_for(values: Sequence[str]) -> dict[str, str]:
    """The word of each label: its own text with spaces for underscores; numbers are spelled out, truths yes and no.

    Example:
        >>> from softprompt.tasks.guess.answers import words_for
        >>> words_for(["0", "1"]), words_for(["card_lost", "refund"])
        ({'0': 'no', '1': 'yes'}, {'card_lost': 'card lost', 'refund': 'refund'})
    """
    lower = [value.lower() for value in values]
    tables: list[Mapping[str, str]] = [_TRUTHS, _SIGNS, {str(number): word for number, word in enumerate(_NUMBERS)}]
    words = next(([table[one] for one in lower] for table in tables if set(lower) <= set(table)), None)
    words = words or [" ".join(re.sub(r"[_\s]+", " ", value).split()) or value for value in values]
    return dict(zip(values, words if len({*words}) == len(values) else values, strict=True))


def _are_classes(column: Profile) -> bool:
    """Whether a column's numbers are classes: whole, and few or counted from 0 or 1 without gaps."""
    if column.many or not column.is_all("whole"):
        return False
    if len(column.counts) <= _MOST_NUMBERS:
        return True
    values = sorted(int(value) for value in column.labels)
    return label_rank(column.name) >= _SURE and values[0] in (0, 1) and values[-1] - values[0] == len(values) - 1


def _numbers(column: Profile, others: Sequence[Profile]) -> list[float]:
    """The values as numbers; none where one is no number."""
    try:
        found = [float(value) for one in (column, *others) for value in one.labels]
    except ValueError:
        return []
    finite = all(abs(value) < float("inf") for value in found)
    return found if finite and column.is_all("number") else []


def _free() -> Keys:
    return {"kind": "generation", "metrics": ("token_f1", "exact_match")}


def _order(value: str) -> tuple[int, float, str]:
    """Numbers by their size, then texts; the order of a table's rows does not matter."""
    try:
        return 0, float(value), value
    except ValueError:
        return 1, 0.0, value
