"""Sentences in columns, a word a line: CoNLL's files, and BIO files of two columns.

    -DOCSTART- -X- -X- O

    U.N.       NNP I-NP B-ORG
    official   NN  I-NP O

Columns stand apart by tabs where a line has one, else by spaces. The first is the word, the last its tag; blank lines
and `-DOCSTART-` stand between sentences. A line that begins with `# ` before a sentence is a comment, as in CoNLL-U,
unless it has the columns of the others and a tag in the last: a word may be `#`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from softprompt.errors import SoftPromptError
from softprompt.tasks.data.lines import PACKED, TextFile, text_file, without_end
from softprompt.tasks.data.record import Record, TaggedColumns
from softprompt.tasks.spans import is_span_tag

CONLL_ENDINGS = (".conll", ".bio", ".iob", ".iob2")
_BREAK = "-DOCSTART-"
_LOOKED_AT = 1_000  # lines that tell the layout of a file whose name does not
_CONLL_U = 10  # its columns


@dataclass(frozen=True, slots=True)
class ConllLine:
    """One line of such a file.

    Attributes:
        number: from 1.
        text: as it stands.
        cells: its columns; none in a line that holds no word.
    """

    number: int
    text: str
    cells: tuple[str, ...]


def each_line(file: TextFile, is_tag: Callable[[str], bool] = is_span_tag) -> Iterator[ConllLine]:
    """The lines of a file, whatever they hold.

    Args:
        file: that is open.
        is_tag: tells tags that are none of spans, such as parts of speech.
    """
    inside, usual = False, _usual_columns(file)
    for number, whole in file.lines():
        text = without_end(whole)
        cells = _cells(text)
        inside = _is_word(cells) and (inside or not _is_comment(text) or (len(cells) == usual and is_tag(cells[-1])))
        yield ConllLine(number, text, cells if inside else ())


def sentences(file: TextFile, columns: TaggedColumns, is_tag: Callable[[str], bool] = is_span_tag) -> Iterator[Record]:
    """The sentences of a file: the words of each, and their tags where the file has any.

    Raises:
        SoftPromptError: its lines differ in their columns or end in carriage returns alone, or it is CoNLL-U.
    """
    path = file.path
    width, held = 0, list[ConllLine]()
    for line in each_line(file, is_tag):
        if "\r" in line.text:  # all of an old Mac's file is one line
            raise SoftPromptError(f"{path}, line {line.number}: a carriage return ends no line; save line feeds")
        if line.cells:
            width = width or _checked(path, line)
            if len(line.cells) != width:
                raise SoftPromptError(
                    f"{path}, line {line.number}: {len(line.cells)} columns where the file has {width}; give each word "
                    "a line of as many, and put tabs between them where a word has spaces"
                )
            held.append(line)
        elif held:
            yield _record(path, held, columns)
            held = []
    if held:
        yield _record(path, held, columns)


def is_conll(path: Path, is_tag: Callable[[str], bool] = is_span_tag, encoding: str | None = None) -> bool:
    """Whether a file is of this layout: its name says so, or all lines have as many columns and a tag in the last."""
    name = path.name.lower()
    packed = next((one for one in PACKED if name.endswith(one)), "")
    if Path(name.removesuffix(packed)).suffix in CONLL_ENDINGS:
        return True
    with text_file(path, encoding) as file:
        words = [line.cells for line in islice(each_line(file, is_tag), _LOOKED_AT) if line.cells]
    widths = set(map(len, words))
    return len(widths) == 1 and 1 not in widths and all(is_tag(cells[-1]) for cells in words)


def _cells(text: str) -> tuple[str, ...]:
    return tuple(map(str.strip, text.split("\t"))) if "\t" in text else tuple(filter(None, text.split(" ")))


def _usual_columns(file: TextFile) -> int:
    """How many columns the first word has whose line could be no comment."""
    texts = (without_end(line) for _, line in file.lines())
    return next((len(cells) for text in texts if not _is_comment(text) and _is_word(cells := _cells(text))), 0)


def _is_comment(text: str) -> bool:
    """Whether a line would be a comment between two sentences."""
    return text.startswith("# ")


def _is_word(cells: tuple[str, ...]) -> bool:
    return any(cells) and cells[0] != _BREAK


def _checked(path: Path, line: ConllLine) -> int:
    """How many columns the file has, of which this is the first line with a word."""
    if len(line.cells) == _CONLL_U and line.cells[0].partition("-")[0] == "1" and "\t" in line.text:
        raise SoftPromptError(
            f"{path}, line {line.number}: CoNLL-U, which has words and tags in columns of their own; write a word and "
            "its tag a line, as by: cut -f2,4"
        )
    return len(line.cells)


def _record(path: Path, held: list[ConllLine], columns: TaggedColumns) -> Record:
    values: dict[str, object] = {columns.words: [line.cells[0] for line in held]}
    if len(held[0].cells) > 1:
        values[columns.tags] = [line.cells[-1] for line in held]
    return Record(values, str(path), held[0].number)
