"""Rows of words with a tag each: lists, as `datasets` has them and CoNLL's files give, or texts parted by spaces."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from softprompt.errors import quoted
from softprompt.guards import limits
from softprompt.tasks.data.faults import RowFault
from softprompt.tasks.data.labels import answer_of
from softprompt.tasks.data.record import Record, TaggedColumns
from softprompt.tasks.data.several import cell_of
from softprompt.tasks.definition import TaskDefinition
from softprompt.tasks.in_place import TAGGED_COLUMNS
from softprompt.tasks.rows import Row
from softprompt.tasks.spans import in_order
from softprompt.tasks.values import listed, several


def tagged_columns(task: TaskDefinition) -> TaggedColumns | None:
    """What the columns of words and tags are called; None for a task without tags."""
    if task.kind != "tags":
        return None
    words, tags = ((*task.columns.get(key, ()), key)[0] for key in (task.fields[0], "label"))
    return TaggedColumns(words, tags, always=task.layout == "conll")


def each_of(value: object, what: str) -> tuple[object, ...]:
    """What a list holds, a cell with a list as JSON, or a text between its spaces.

    Raises:
        RowFault: it is none of these.
    """
    found = cell_of(value, what)
    if isinstance(found, str):
        return tuple(found.split())
    if isinstance(found, (list, tuple)):
        others = [one for one in found if one is None or several(one) is not None]
        if not others:
            return tuple(found)
        raise RowFault(f"{what} has {quoted(others[0], 60)} in it, which is no text", "give a list of texts")
    raise RowFault(f"{what} is {several(found) or type(found).__name__}", "give a list of texts")


def tagged_row(task: TaskDefinition, columns: Mapping[str, object], tags: object, record: Record, index: int) -> Row:
    """The row.

    Args:
        task: whose tags they are.
        columns: what the record holds of it.
        tags: what `each_of` gave of the label's column, or None where they are not looked at.
        record: it stands in.
        index: of the row in its file.

    Raises:
        RowFault: no words, an empty one, another number of tags than words, or a tag that the task has not.
    """
    name = task.fields[0]
    keys = (*task.columns.get(name, ()), name)
    key = next((key for key in keys if key in columns), None)
    if key is None:
        raise RowFault(f"no column {listed(keys)} for the words; found {listed(tuple(columns)[:12])}")
    words = tuple(map(str, each_of(columns[key], f"{key!r}")))
    empty = next((number for number, word in enumerate(words, 1) if not word.strip()), None)
    if not words or empty is not None:
        what = f"no words in {key!r}" if not words else f"word {empty} in {key!r} is empty"
        raise RowFault(what, "fill it in or delete the row")
    text = " ".join(words)
    limits.check_text(text, record.place)
    label, _ = answer_of(task, tags, None, from_one=False)
    if isinstance(label, tuple) and len(label) != len(words):
        raise RowFault(f"{len(label)} tags for {len(words)} words", "give each word a tag")
    return Row({name: text}, label, index=index, words=words, file=record.path, line=record.line)


def labels_of(rows: Iterable[Mapping[str, object]]) -> tuple[str, ...] | None:
    """The tags of records, as a task's labels in `in_order`; None where the first has no words with a tag each.

    Args:
        rows: of a file of words and tags, such as CoNLL's, or of `datasets`.
    """
    found: set[str] = set()
    names: tuple[str, str] | None = None
    for row in rows:
        names = names or _names(row)
        if names is None:
            return None
        tags = row.get(names[1])
        found.update(map(str, tags) if isinstance(tags, list) else ())
    return in_order(found) or None


def _names(row: Mapping[str, object]) -> tuple[str, str] | None:
    """The columns of the words and of their tags."""
    words, tags = (
        next((name for name in TAGGED_COLUMNS[key] if isinstance(row.get(name), list)), None)
        for key in ("field", "label")
    )
    if words is None or tags is None:
        return None
    pairs = row[words], row[tags]
    assert isinstance(pairs[0], list)
    assert isinstance(pairs[1], list)
    return (words, tags) if len(pairs[0]) == len(pairs[1]) and all(isinstance(one, str) for one in pairs[0]) else None
