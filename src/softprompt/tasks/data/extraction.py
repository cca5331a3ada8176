"""Rows whose answer is a part of a passage, as SQuAD publishes them: its text, and the character at which it starts."""

from __future__ import annotations

import re
from collections.abc import Mapping

from softprompt.errors import quoted
from softprompt.tasks.data.faults import RowFault
from softprompt.tasks.data.layouts import UNANSWERABLE
from softprompt.tasks.data.several import cell_of
from softprompt.tasks.in_place import PASSAGE
from softprompt.tasks.rows import Row


def extracted_row(texts: Mapping[str, str], answers: object, place: object, index: int) -> Row:
    """The row; its label is the first and the last place of its first answer, and empty where there is none.

    Args:
        texts: of its fields.
        answers: the right ones, or None where they are not looked at.
        place: where they start, as far as that is known: a number, or a list or a mapping of them.
        index: of the row in its file.

    Raises:
        RowFault: no answer stands in the passage.
    """
    if not isinstance(answers, tuple):
        return Row(dict(texts), index=index)
    passage = texts[PASSAGE]
    if answers == (UNANSWERABLE,) and UNANSWERABLE not in passage:
        return Row(dict(texts), (), index=index, answers=answers)
    starts = _starts(place)
    for number, answer in enumerate(map(str.strip, answers)):
        there = [match.start() for match in re.finditer(re.escape(answer), passage)] if answer else []
        if there:
            told = starts[number] if number < len(starts) else 0
            start = min(there, key=lambda one: abs(one - told))  # white space that was taken off moves them
            return Row(dict(texts), (start, start + len(answer)), index=index, answers=answers)
    raise RowFault(
        f"the answer {quoted(answers[0], 60)} does not stand in {PASSAGE!r}",
        "mend it, or make the task one of the kind generation",
    )


def _starts(value: object) -> list[int]:
    """The characters at which answers start; none where that is not known."""
    found = cell_of(value, "'answers'")
    if isinstance(found, Mapping):
        found = found.get("answer_start")
    if isinstance(found, list):
        found = [one.get("answer_start") if isinstance(one, Mapping) else one for one in found]
    many = found if isinstance(found, list) else [found]
    starts = [one for one in many if isinstance(one, int)]
    return starts if len(starts) == len(many) else []
