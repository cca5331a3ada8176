"""A table of questions and their answers, written some rows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from softprompt.errors import SoftPromptError
from softprompt.files.tables import Columns, writing_table

if TYPE_CHECKING:
    from softprompt.cli.questions import Questions
    from softprompt.inference.batches import Tick
    from softprompt.progress import Progress
    from softprompt.storage.prompt import Prompt
    from softprompt.tasks import Row

_BATCHES = 32  # that are answered together, the longest rows first
_ADDED: Mapping[str, type] = {"label": str, "word": str, "probability": float}
_Asked = tuple[Mapping[str, object], "list[Row]"]
_T = TypeVar("_T")


def write_answers(prompt: Prompt, asked: Questions, out: Path, show: Progress, batch_size: int) -> tuple[int, int]:
    """Write the columns of what is asked, and beside them each answer's label, word and probability.

    All rows are looked through before the first is answered, so a fault in the last is told at once.

    Args:
        prompt: that answers.
        asked: what it is asked.
        out: the table to write.
        show: where the work is shown.
        batch_size: rows a forward pass.

    Returns:
        How many rows were written, and how many of them have no text and so no answer.

    Raises:
        SoftPromptError: a fault in a row, or a place that cannot be written.
    """
    if asked.path is not None and out.exists() and out.samefile(asked.path):
        raise SoftPromptError(f"--out {out}: is the file that is asked about: choose another")
    columns, blank = Columns(out), 0
    for values, rows in asked.each():
        blank += not rows
        for _ in rows or (None,):
            columns.see(values)
    if columns.count == blank:
        raise SoftPromptError(f"{asked.path or 'texts'}: no row has a text: give at least one")
    added = _free(columns)
    kinds = {added[name]: kind for name, kind in _ADDED.items()}
    with prompt.attach(), writing_table(columns, kinds) as write, show.work(out.name, columns.count, "rows") as tick:
        for part in _parts(asked.each(), _BATCHES * batch_size):
            write(list(_answered(prompt, part, added, tick, batch_size)))
    return columns.count, blank


def _free(columns: Columns) -> dict[str, str]:
    """The names of the added columns: one that the table has already keeps its name, and the answer's takes another."""
    names = {}
    for name in _ADDED:
        free = name
        while free in columns.names:
            free = f"predicted_{free}"
        names[name] = free
    return names


def _answered(
    prompt: Prompt, part: list[_Asked], added: Mapping[str, str], tick: Tick, batch_size: int
) -> Iterator[Mapping[str, object]]:
    from softprompt.storage.prompt import answers_to

    rows = [row for _, own in part for row in own]
    answers = iter(answers_to(prompt, rows, batch_size=batch_size, tick=tick) if rows else [])
    for values, own in part:
        if not own:
            tick(1)
            yield {**values, **dict.fromkeys(added.values())}
        for _ in own:
            answer = next(answers)
            yield {**values, **{column: getattr(answer, name) for name, column in added.items()}}


def _parts(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """So many items at a time."""
    items = iter(items)
    while part := list(islice(items, size)):
        yield part
