"""Files of words with their tags: in CoNLL's columns, or as a table with a row a word."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from softprompt.cli.answers import answered_parts
from softprompt.errors import SoftPromptError, quoted
from softprompt.files.tables import ENDINGS, Columns, table_for, writing_table
from softprompt.files.whole import replacing_file
from softprompt.guards.paths import file_for
from softprompt.tasks.data.watching import watching

if TYPE_CHECKING:
    from softprompt.cli.questions import Questions
    from softprompt.inference.predict import Answer, TaggedWord
    from softprompt.progress import Progress
    from softprompt.storage.prompt import Prompt
    from softprompt.tasks import Task

_COLUMNS = {"sentence": int, "word": str, "tag": str, "probability": float}


def place_for(out: Path) -> Path:
    """A file of answers to write: a table, or one in CoNLL's columns.

    Raises:
        SoftPromptError: the place cannot be written, or the name ends in no format of these.
    """
    return file_for(out, "--out") if _is_conll(out) else table_for(out, "--out")


def writes_words(task: Task, out: Path) -> bool:
    """Whether answers are written word by word: tags, in a file whose rows are words.

    Raises:
        SoftPromptError: such a file is wanted of a task that has one answer a row.
    """
    if task.kind != "tags" and _is_conll(out):
        raise SoftPromptError(
            f"--out {out}: has a line a word, and task {task.name!r} one answer a row: choose {', '.join(ENDINGS)}"
        )
    return task.kind == "tags" and (_is_conll(out) or out.suffix in (".csv", ".tsv"))


def write_words(prompt: Prompt, asked: Questions, out: Path, show: Progress, batch_size: int) -> tuple[int, int]:
    """Write each word with its tag and the tag's probability.

    The lines of a file in CoNLL's columns are written as they stand, blank ones and comments among them; behind the
    columns of a word come the probability and, last as ever, the tag. A table has a row a word: the number of its
    sentence, the word, its tag and the probability.

    Args:
        prompt: that answers.
        asked: what it is asked.
        out: the file to write.
        show: where the work is shown.
        batch_size: sentences a forward pass.

    Returns:
        How many sentences were written, and how many more there are that have no words.

    Raises:
        SoftPromptError: a fault in a row, or a place that cannot be written.
    """
    if asked.path is not None and out.exists() and out.samefile(asked.path):
        raise SoftPromptError(f"--out {out}: is the file that is asked about: choose another")
    count, blank, notes = 0, 0, list[str]()
    with watching(show.work):
        for _, rows in asked.each(notes):
            count, blank = count + len(rows), blank + (not rows)
            if _is_conll(out):
                _check_words(out, (word for row in rows for word in row.words))
    if not count:
        raise SoftPromptError(f"{asked.path or 'texts'}: no row has words: give at least one")
    for note in notes:
        show.say(note)
    write = _write_conll if _is_conll(out) else _write_table
    with prompt.attach(), show.work(out.name, count + blank, "rows") as tick:
        parts = answered_parts(prompt, asked, tick, batch_size)
        write(asked, out, ([answer for _, answer in part if answer is not None] for part in parts))
    return count, blank


def _is_conll(out: Path) -> bool:
    if out.suffix in ENDINGS:
        return False
    from softprompt.tasks.data.conll import CONLL_ENDINGS

    return out.suffix in CONLL_ENDINGS


def _check_words(out: Path, words: Iterable[str]) -> None:
    broken = next((word for word in words if {*"\t\r\n"} & {*word}), None)
    if broken is not None:
        raise SoftPromptError(
            f"--out {out}: the word {quoted(broken, 60)} has a tab or a line end, which such a file cannot hold: write "
            "a csv or jsonl file"
        )


def _write_table(asked: Questions, out: Path, parts: Iterable[list[Answer]]) -> None:
    number = 0
    with writing_table(Columns(out), _COLUMNS) as write:
        for part in parts:
            rows = []
            for answer in part:
                number += 1
                cells = ((number, one.word, one.tag, one.probability) for one in answer.tagged)
                rows += [dict(zip(_COLUMNS, row, strict=True)) for row in cells]
            write(rows)


def _write_conll(asked: Questions, out: Path, parts: Iterable[list[Answer]]) -> None:
    with replacing_file(out) as file:
        for line in _lines(asked, (answer.tagged for part in parts for answer in part)):
            file.write(f"{line}\n".encode())


def _lines(asked: Questions, sentences: Iterator[tuple[TaggedWord, ...]]) -> Iterator[str]:
    from softprompt.tasks.data.conll import each_line, is_conll
    from softprompt.tasks.data.lines import text_file
    from softprompt.tasks.data.records import columns_of

    is_tag: Callable[[str], bool] = columns_of(asked.task).is_label
    if asked.path is None or not is_conll(asked.path, is_tag, asked.encoding):
        for place, sentence in enumerate(sentences):
            yield from [""] if place else []
            yield from (f"{one.word}\t{_chance(one)}\t{one.tag}" for one in sentence)
        return
    words = (one for sentence in sentences for one in sentence)
    with text_file(asked.path, asked.encoding) as file:
        for line in each_line(file, is_tag):
            if not line.cells:
                yield line.text
                continue
            own, between = next(words), "\t" if "\t" in line.text else " "
            yield between.join((line.text.rstrip(" \t"), _chance(own), own.tag))


def _chance(one: TaggedWord) -> str:
    return "0" if one.probability is None else f"{one.probability:.4f}"
