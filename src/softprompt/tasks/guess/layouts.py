"""Kinds of tasks that a file's layout tells by itself: no column of it need be a text or a label.

A recogniser takes the rows of a place and gives the keys of a task's definition, or None where they are of another
layout. They are asked in order, before any column is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from softprompt.tasks.data.tagged import labels_of
from softprompt.tasks.guess.answers import Keys

Rows = Callable[[], Iterator[Mapping[str, object]]]


def squad(rows: Rows) -> Keys | None:
    """SQuAD's own file (one of its articles, or all of them in one object), and the hub's rows."""
    first = next(rows(), {})
    nested = any(isinstance(first.get(key), list) for key in ("paragraphs", "data"))
    answers = first.get("answers")
    flat = {"context", "question"} <= set(first) and isinstance(answers, Mapping) and "text" in answers
    if not nested and not flat:
        return None
    return {"kind": "extraction", "layout": "squad"}


def tagged(rows: Rows) -> Keys | None:
    """Words with a tag each: CoNLL's files, and lists of both in the rows."""
    labels = labels_of(rows())
    return None if labels is None or len(labels) < 2 else {"kind": "tags", "labels": labels}


RECOGNISERS: tuple[Callable[[Rows], Keys | None], ...] = (squad, tagged)


def recognised(rows: Rows) -> Keys | None:
    """The keys that the rows give by their layout, None where they are those of a table.

    Args:
        rows: gives them, as often as it is called.
    """
    return next((keys for of in RECOGNISERS if (keys := of(rows)) is not None), None)


def told(keys: Keys) -> str:
    """What is told of such a task, in one line."""
    labels = keys.get("labels")
    if isinstance(labels, Iterable):
        return f"text: words; label: a tag for each ({', '.join(map(str, labels))})"
    return f"layout: {keys['layout']}; text: question, context; answer: a part of the context (kind {keys['kind']})"
