"""Texts in lists and mappings, as data sets of question answering publish answers and choices.

=============================================  ==============================
``["Paris", "in Paris"]``                      Natural Questions, DuoRC
``{"text": ["Paris"], "answer_start": [3]}``   SQuAD on the hub; ARC's choices
``[{"text": "Paris", "answer_start": 3}]``     SQuAD's own files, NarrativeQA
``{"value": "Paris", "aliases": ["Paname"]}``  TriviaQA
``{"spans": ["Paris"], "types": ["span"]}``    DROP
=============================================  ==============================

In a table of texts a cell holds them as JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, time
from numbers import Number

from softprompt.errors import SoftPromptError, quoted
from softprompt.guards.documents import parse_json
from softprompt.tasks.data.faults import RowFault
from softprompt.tasks.values import listed, several

# Where a mapping keeps its texts; the first that is there counts, and what stands beside it adds to it.
_KEYS = (("text",), ("value", "aliases"), ("spans",))
_DEEPEST = 4
_PYTHON = re.compile(r"[\[{]\s*(?:'|array\(|\{')")  # how Python shows a list or a mapping of texts


def texts_of(value: object, what: str) -> tuple[str, ...]:
    """The texts of a value, in their order; none of an empty list.

    Args:
        value: a text or a number, or lists and mappings of them.
        what: it is called in messages.

    Raises:
        RowFault: a mapping without a key that is known to hold texts, or what is neither text nor number.
    """
    return tuple(_texts(_listed(value), what, 0))


def cell_of(value: object, what: str) -> object:
    """What a cell holds: the list or mapping that it is the JSON of, or the value as it is.

    Raises:
        RowFault: Python's own form of a list or a mapping, which nothing reads back safely.
    """
    if not isinstance(value, str) or value[:1] not in ("[", "{"):
        return value
    try:
        return parse_json(value, what)
    except SoftPromptError:
        if _PYTHON.match(value):
            raise RowFault(
                f"{what} is a list or a mapping as Python shows it ({quoted(value, 60)})",
                "write the file as jsonl or parquet, or the cell as JSON",
            ) from None
        return value


def _texts(value: object, what: str, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        raise RowFault(f"{what}: lists or mappings more than {_DEEPEST} deep", "give one list of texts")
    if isinstance(value, Mapping):
        keys = {str(key).lower(): key for key in value}
        found = next((names for names in _KEYS if names[0] in keys), None)
        if found is None:
            raise RowFault(
                f"{what} is a mapping of {listed(tuple(value)[:8])}, none of which holds its texts",
                "give a text, a list of texts, or a mapping with 'text', 'value' or 'spans'",
            )
        for name in found:
            yield from _texts(_listed(value[keys[name]]) if name in keys else [], what, depth + 1)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _texts(_listed(one), what, depth + 1)
    elif isinstance(value, (str, Number, date, time)):
        yield str(value)
    else:
        raise RowFault(f"{what} holds {quoted(value, 60)}, no text", "give a text, or a list of texts")


def _listed(value: object) -> object:
    """An array, as frames and parquet files hold them, as a list."""
    return list(value) if several(value) == "an array" and hasattr(value, "__iter__") else value
