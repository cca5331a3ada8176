"""A table of questions and their answers, written some rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from softprompt.errors import SoftPromptError
from softprompt.files.tables import Columns, writing_table
from softprompt.tasks.data.watching import watching

if TYPE_CHECKING:
    from softprompt.cli.questions import Questions
    from softprompt.inference.batches import Tick
    from softprompt.inference.predict import Answer
    from softprompt.progress import Progress
    from softprompt.storage.prompt import Prompt
    from softprompt.tasks import Row

_BATCHES = 32  # that are answered together, the longest rows first
_Added = Mapping[str, tuple[type, "Callable[[Answer], object]"]]
_ADDED: _Added = {
    "label": (str, lambda answer: answer.label),
    "word": (str, lambda answer: answer.word),
    "probability": (float, lambda answer: answer.probability),
}
_TAGGED: _Added = {
    "tags": (list[str], lambda answer: [one.tag for one in answer.tagged]),
    "probabilities": (list[float], lambda answer: [one.probability for one in answer.tagged]),
}
_Asked = tuple[Mapping[str, object], "list[Row]"]
_T = TypeVar("_T")


def write_answers(prompt: Prompt, asked: Questions, out: Path, show: Progress, batch_size: int) -> tuple[int, int]:
    """Write the columns of what is asked, and beside them each answer's label, word and probability.

    Of a task with a tag for each word these are lists, the tags and their probabilities.

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
    columns, blank, notes = Columns(out), 0, list[str]()
    with watching(show.work):
        for values, rows in asked.each(notes):
            blank += not rows
            for _ in rows or (None,):
                columns.see(values)
    if columns.count == blank:
        raise SoftPromptError(f"{asked.path or 'texts'}: no row has a text: give at least one")
    for note in notes:
        show.say(note)
    assert prompt.task is not None
    wanted = _TAGGED if prompt.task.kind == "tags" else _ADDED
    names = _free(columns, wanted)
    kinds = {names[name]: kind for name, (kind, _) in wanted.items()}
    added = {names[name]: value for name, (_, value) in wanted.items()}
    with prompt.attach(), writing_table(columns, kinds) as write, show.work(out.name, columns.count, "rows") as tick:
        for part in answered_parts(prompt, asked, tick, batch_size):
            beside = ({name: answer and value(answer) for name, value in added.items()} for _, answer in part)
            write([{**values, **own} for (values, _), own in zip(part, beside, strict=True)])
    return columns.count, blank


def _free(columns: Columns, added: Iterable[str]) -> dict[str, str]:
    """The names of the added columns: one that the table has already keeps its name, and the answer's takes another."""
    names = {}
    for name in added:
        free = name
        while free in columns.names:
            free = f"predicted_{free}"
        names[name] = free
    return names


def answered_parts(
    prompt: Prompt, asked: Questions, tick: Tick, batch_size: int
) -> Iterator[list[tuple[Mapping[str, object], Answer | None]]]:
    """What is asked, some rows at a time, each with its answer; None for a row without a text."""
    for part in _parts(asked.each([]), _BATCHES * batch_size):
        yield list(_answered(prompt, part, tick, batch_size))


def _answered(
    prompt: Prompt, part: list[_Asked], tick: Tick, batch_size: int
) -> Iterator[tuple[Mapping[str, object], Answer | None]]:
    from softprompt.storage.prompt import answers_to

    rows = [row for _, own in part for row in own]
    answers = iter(answers_to(prompt, rows, batch_size=batch_size, tick=tick) if rows else [])
    for values, own in part:
        if not own:
            tick(1)
            yield values, None
        for _ in own:
            yield values, next(answers)


def _parts(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """So many items at a time."""
    items = iter(items)
    while part := list(islice(items, size)):
        yield part
